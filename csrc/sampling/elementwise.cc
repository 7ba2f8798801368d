#include "sampling/elementwise.h"

#include <algorithm>
#include <atomic>
#include <type_traits>

#include "base/float_env.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace genfast {
namespace {

constexpr int64_t kBlock = 1024;        // elements: x, out and the parameters of a block stay in L1
constexpr int64_t kTask = 16 * kBlock;  // elements a thread takes at a time

// n elements of a repeated array from `begin` on, as T: in place where they are consecutive and of that type, else in `room`.
template <class T, class S>
const T* place(const S* data, int64_t period, int64_t begin, int64_t n, T* room) {
  int64_t k = begin % period;
  if constexpr (std::is_same_v<T, S>)
    if (k + n <= period) return data + k;
  for (int64_t i = 0; i < n;) {
    const int64_t run = std::min(n - i, period - k);
    for (int64_t j = 0; j < run; ++j) room[i + j] = static_cast<T>(data[k + j]);
    i += run, k = 0;
  }
  return room;
}

// The first of n values that is no probability, or -1.
template <class T>
int64_t first_bad(const T* x, int64_t n) {
  bool good = true;
  for (int64_t i = 0; i < n; ++i) good &= x[i] >= T(0) && x[i] <= T(1);
  if (good) return -1;
  for (int64_t i = 0; i < n; ++i)
    if (!(x[i] >= T(0) && x[i] <= T(1))) return i;
  return -1;
}

// block(begin, count) over [0, n), on as many threads as pay.
template <class Block>
void over_blocks(int64_t n, const std::function<void()>& poll, const Block& block) {
  parallel_for((n + kTask - 1) / kTask, 0,
               [&](int64_t task) {
                 const int64_t end = std::min(n, (task + 1) * kTask);
                 for (int64_t begin = task * kTask; begin < end; begin += kBlock) block(begin, std::min(kBlock, end - begin));
               },
               poll);
}

// One block through a kernel of lanes T; x is the block, out its first element.
template <class T>
void run(void (*kernel)(const ElementArgsOf<T>&), int count, const Repeated* params, int64_t begin, const T* x, int64_t n, T* out) {
  alignas(64) T room[kMaxFamilyParams][kBlock];
  ElementArgsOf<T> args{};
  for (int j = 0; j < count; ++j) {
    args.broadcast[j] = params[j].period == 1;
    args.params[j] = place(params[j].data, params[j].period, begin, args.broadcast[j] ? 1 : n, room[j]);
  }
  args.x = x;
  args.out = out;
  args.n = n;
  kernel(args);
}

// The same with results rounded to float where they are wanted so.
void run(ElementFn kernel, int count, const Repeated* params, int64_t begin, const double* x, int64_t n, const RealsOut& out) {
  if (out.f64) return run(kernel, count, params, begin, x, n, out.f64 + begin);
  alignas(64) double y[kBlock];
  run(kernel, count, params, begin, x, n, y);
  for (int64_t i = 0; i < n; ++i) out.f32[begin + i] = static_cast<float>(y[i]);
}

// The smallest index reported by any thread.
class FirstBad {
 public:
  explicit FirstBad(int64_t n) : n_(n), least_(n) {}
  void report(int64_t index) {
    int64_t least = least_.load(std::memory_order_relaxed);
    while (index < least && !least_.compare_exchange_weak(least, index, std::memory_order_relaxed)) {
    }
  }
  int64_t index() const { return least_.load() < n_ ? least_.load() : -1; }

 private:
  const int64_t n_;
  std::atomic<int64_t> least_;
};

}  // namespace

bool has_float_kernel(Family family) { return active_kernels().elementwise(family).f32[0] != nullptr; }

int64_t evaluate(Family family, FamilyFn fn, const Reals& x, const Repeated* params, int64_t n, const RealsOut& out,
                 const std::function<void()>& poll) {
  const FamilyKernels& kernels = active_kernels().elementwise(family);
  const int count = info(family).params;
  FirstBad bad(n);
  const auto checked = [&](const auto* block, int64_t begin, int64_t elements) {
    const int64_t found = takes_probability(fn) ? first_bad(block, elements) : -1;
    if (found >= 0) bad.report(begin + found);
    return found < 0;
  };
  if (takes_probability(fn) && x.f32 && out.f32 && kernels.f32[0]) {
    const ElementF32Fn kernel = kernels.f32[fn == FamilyFn::iccdf];
    over_blocks(n, poll, [&](int64_t begin, int64_t elements) {
      alignas(64) float room[kBlock];
      const float* block = place(x.f32, x.period, begin, elements, room);
      if (checked(block, begin, elements)) run(kernel, count, params, begin, block, elements, out.f32 + begin);
    });
    return bad.index();
  }
  over_blocks(n, poll, [&](int64_t begin, int64_t elements) {
    alignas(64) double room[kBlock];
    const double* block = x.f64 ? place(x.f64, x.period, begin, elements, room) : place(x.f32, x.period, begin, elements, room);
    if (checked(block, begin, elements)) run(kernels[fn], count, params, begin, block, elements, out);
  });
  return bad.index();
}

void sample(Family family, uint64_t seed, uint64_t row, uint64_t first_site, const Repeated* params, int64_t n, const RealsOut& out,
            const std::function<void()>& poll) {
  const Kernels& all = active_kernels();
  const FamilyKernels& kernels = all.elementwise(family);
  const int count = info(family).params;
  const bool in_float = out.f32 && kernels.f32[0];
  over_blocks(n, poll, [&](int64_t begin, int64_t elements) {
    const uint64_t site = first_site + static_cast<uint64_t>(begin);
    if (in_float) {
      float* u = out.f32 + begin;  // the kernel works in place
      all.uniforms_f32(u, elements, seed, row, 1, site, elements);
      run(kernels.f32[0], count, params, begin, u, elements, u);
    } else {
      alignas(64) double u[kBlock];
      all.uniforms_f64(u, elements, seed, row, 1, site, elements);
      run(kernels[FamilyFn::icdf], count, params, begin, u, elements, out);
    }
  });
}

}  // namespace genfast
