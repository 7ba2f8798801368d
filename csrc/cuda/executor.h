// Executors: who runs a phase of device code. Everything in this room that computes is written as phases, `each(n, f)`: f(0) …
// f(n - 1) in any order, on as many threads as there are, and a barrier behind them. A block of a GPU runs it, a whole grid, or,
// for tests and for machines without one, a loop on the host: one source, the same bits. No phase may read what another item of it
// writes.
#pragma once
#if defined(__CUDACC__)
#include <cooperative_groups.h>
#endif

#include <cstdint>

#include "cuda/tensor_tile.h"
#include "numerics/lane.h"

namespace genfast {
namespace cuda {

// A loop in place of a block. Items may be taken backwards or shuffled: results that change have a race.
class HostExecutor {
 public:
  enum class Order { rising, falling, shuffled };
  // threads: as many as device code should think there are; it cuts work into larger items for fewer.
  explicit HostExecutor(Order order = Order::rising, int64_t threads = 1) : order_(order), threads_(threads) {}

  int64_t threads() const { return threads_; }

  template <class F>
  void each(int64_t n, const F& f) {
    switch (order_) {
      case Order::rising:
        for (int64_t i = 0; i < n; ++i) f(i);
        break;
      case Order::falling:
        for (int64_t i = n; i-- > 0;) f(i);
        break;
      case Order::shuffled: {
        if (n < 2) return n == 1 ? f(0) : void();
        // A step that has no divisor in common with n visits every item once.
        int64_t step = n / 2 + 1 + static_cast<int64_t>(turn_++ % 7);
        while (divisor(step, n) > 1) ++step;
        for (int64_t i = 0, at = n / 3; i < n; ++i, at = (at + step) % n) f(at);
        break;
      }
    }
  }

  // Items that a warp takes together; what its lanes share is a Tile.
  template <class F>
  void each_warp(int64_t n, const F& f) {
    each(n, f);
  }
  template <int tiles>
  using Tile = HostTile<tiles>;

 private:
  static int64_t divisor(int64_t a, int64_t b) {
    while (b) {
      const int64_t rest = a % b;
      a = b;
      b = rest;
    }
    return a;
  }
  Order order_;
  int64_t threads_;
  uint64_t turn_ = 0;
};

#if defined(__CUDACC__)
// The threads of one block.
class BlockExecutor {
 public:
  __device__ int64_t threads() const { return blockDim.x; }
  template <class F>
  __device__ void each(int64_t n, const F& f) {
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) f(i);
    __syncthreads();
  }
  template <class F>
  __device__ void each_warp(int64_t n, const F& f) {
    for (int64_t i = threadIdx.x / kWarp; i < n; i += blockDim.x / kWarp) f(i);
    __syncthreads();
  }
  template <int tiles>
  using Tile = WarpTile<tiles>;
};

// All threads of a grid that was launched cooperatively. A barrier here costs microseconds: for few rows of large models.
class GridExecutor {
 public:
  __device__ int64_t threads() const { return static_cast<int64_t>(gridDim.x) * blockDim.x; }
  template <class F>
  __device__ void each(int64_t n, const F& f) {
    // Neighbouring items go to one block, so that its threads read neighbouring numbers.
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += threads()) f(i);
    cooperative_groups::this_grid().sync();
  }
  template <class F>
  __device__ void each_warp(int64_t n, const F& f) {
    for (int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp; i < n; i += threads() / kWarp) f(i);
    cooperative_groups::this_grid().sync();
  }
  template <int tiles>
  using Tile = WarpTile<tiles>;
};
#endif

}  // namespace cuda
}  // namespace genfast
