#include "sampling/elementwise.h"

#include <algorithm>
#include <atomic>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "numerics/uniforms.h"

namespace genfast {
namespace {

constexpr int64_t kBlock = 1024;        // elements: x, out and the parameters of a block stay in L1
constexpr int64_t kTask = 16 * kBlock;  // elements a thread takes at a time

// A parameter over the block at `begin`: in place where it can be, else gathered into `room`.
void place(ElementArgs& args, int j, const Repeated& source, int64_t begin, int64_t n, double* room) {
  const int64_t offset = begin % source.period;
  args.broadcast[j] = source.period == 1;
  args.params[j] = source.data + offset;
  if (source.period == 1 || offset + n <= source.period) return;
  for (int64_t i = 0, k = offset; i < n; ++i) {
    room[i] = source.data[k];
    if (++k == source.period) k = 0;
  }
  args.params[j] = room;
}

// x over the block, as double.
const double* place(const Reals& x, int64_t begin, int64_t n, double* room) {
  int64_t k = begin % x.period;
  if (x.f64 && k + n <= x.period) return x.f64 + k;
  for (int64_t i = 0; i < n; ++i) {
    room[i] = x.f64 ? x.f64[k] : static_cast<double>(x.f32[k]);
    if (++k == x.period) k = 0;
  }
  return room;
}

// The first of n values that is no probability, or -1.
int64_t first_bad(const double* x, int64_t n) {
  bool good = true;
  for (int64_t i = 0; i < n; ++i) good &= x[i] >= 0.0 && x[i] <= 1.0;
  if (good) return -1;
  for (int64_t i = 0; i < n; ++i)
    if (!(x[i] >= 0.0 && x[i] <= 1.0)) return i;
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

// One block through a kernel of double lanes: x is what the kernel reads.
void run(ElementFn kernel, Family family, const double* x, const Repeated* params, int64_t begin, int64_t n, const RealsOut& out) {
  alignas(64) double room[kMaxFamilyParams][kBlock], y[kBlock];
  ElementArgs args{};
  for (int j = 0; j < info(family).params; ++j) place(args, j, params[j], begin, n, room[j]);
  args.x = x;
  args.out = out.f64 ? out.f64 + begin : y;
  args.n = n;
  kernel(args);
  if (out.f32)
    for (int64_t i = 0; i < n; ++i) out.f32[begin + i] = static_cast<float>(y[i]);
}

}  // namespace

int64_t evaluate(Family family, FamilyFn fn, const Reals& x, const Repeated* params, int64_t n, const RealsOut& out,
                 const std::function<void()>& poll) {
  const ElementFn kernel = active_kernels().elementwise[static_cast<int>(family)][static_cast<int>(fn)];
  std::atomic<int64_t> bad{n};
  over_blocks(n, poll, [&](int64_t begin, int64_t count) {
    alignas(64) double room[kBlock];
    const double* block = place(x, begin, count, room);
    if (takes_probability(fn)) {
      const int64_t found = first_bad(block, count);
      if (found >= 0) {
        int64_t least = bad.load(std::memory_order_relaxed);
        while (begin + found < least && !bad.compare_exchange_weak(least, begin + found, std::memory_order_relaxed)) {
        }
        return;
      }
    }
    run(kernel, family, block, params, begin, count, out);
  });
  return bad.load() < n ? bad.load() : -1;
}

void sample(Family family, uint64_t seed, uint64_t row, uint64_t first_site, const Repeated* params, int64_t n, const RealsOut& out,
            const std::function<void()>& poll) {
  const ElementFn kernel = active_kernels().elementwise[static_cast<int>(family)][static_cast<int>(FamilyFn::icdf)];
  over_blocks(n, poll, [&](int64_t begin, int64_t count) {
    alignas(64) double u[kBlock];
    uniforms(seed, row, first_site + static_cast<uint64_t>(begin), count, u);
    run(kernel, family, u, params, begin, count, out);
  });
}

}  // namespace genfast
