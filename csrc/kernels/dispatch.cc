// Picks one kernel table for this process: the fastest the CPU supports, or the one asked for.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/errors.h"
#include "kernels/kernels.h"
#include "kernels/targets/targets.h"

namespace genfast {
namespace {

const Kernels* const kTargets[] = {
    &scalar_kernels,
#if defined(__x86_64__)
    &avx2_kernels,
    &avx512_kernels,
#endif
};
constexpr int kTargetCount = sizeof(kTargets) / sizeof(kTargets[0]);

std::atomic<const Kernels*> active{nullptr};

const Kernels& find(const char* name, const char* asked_by) {
  std::string available;
  for (const Kernels* k : kTargets) {
    if (!k->supported()) continue;
    if (std::strcmp(k->target, name) == 0) return *k;
    available += (available.empty() ? "" : ", ") + std::string(k->target);
  }
  throw ArgumentError(std::string(asked_by) + ": kernel target '" + name +
                      "' is unknown or not supported by this CPU; available: " + available);
}

const Kernels& choose() {
  const char* name = std::getenv("GENFAST_TARGET");
  if (name && *name) return find(name, "GENFAST_TARGET");
  const Kernels* best = kTargets[0];
  for (const Kernels* k : kTargets)
    if (k->supported()) best = k;
  return *best;
}

}  // namespace

bool cpu_runs_scalar() { return true; }
#if defined(__x86_64__)
// The builtins also ask the operating system whether it saves the wide registers.
bool cpu_runs_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool cpu_runs_avx512() {
  return cpu_runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

const Kernels* const* all_targets(int* count) {
  *count = kTargetCount;
  return kTargets;
}

const Kernels& active_kernels() {
  const Kernels* k = active.load(std::memory_order_acquire);
  if (!k) {
    k = &choose();
    active.store(k, std::memory_order_release);
  }
  return *k;
}

void set_target(const char* name) {
  active.store(name && *name ? &find(name, "set_target") : &choose(), std::memory_order_release);
}

}  // namespace genfast
