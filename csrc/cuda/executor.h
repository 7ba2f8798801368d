// Executors: who runs a phase of device code. Everything in this room that computes is written as phases, `each(n, f)`: f(0) …
// f(n - 1) in any order, on as many threads as there are, and a barrier behind them. A block of a GPU runs it, a whole grid, or,
// for tests and for machines without one, a loop on the host: one source, the same bits. No phase may read what another item of it
// writes.
#pragma once
#if defined(__CUDACC__)
#include <cooperative_groups.h>
#include <cuda_pipeline_primitives.h>
#endif

#include <cstdint>
#include <cstring>

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

  // Into the block's own memory, by all its threads, 16 bytes at a time; there once wait_for_copies() is back.
  void copy(void* to, const void* from, int64_t bytes) { std::memcpy(to, from, static_cast<size_t>(bytes)); }
  void wait_for_copies() {}

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
// The threads of one block, or all those of a grid that was launched cooperatively: there a barrier costs microseconds, which pays
// for few rows of large models. One class for both, because a kernel of step code takes minutes to compile.
class DeviceExecutor {
 public:
  __device__ explicit DeviceExecutor(bool whole_grid)
      : whole_grid_(whole_grid),
        // Neighbouring items go to one block, so that its threads read neighbouring numbers.
        thread_(whole_grid ? static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x : threadIdx.x),
        threads_(whole_grid ? static_cast<int64_t>(gridDim.x) * blockDim.x : blockDim.x) {}

  __device__ int64_t threads() const { return threads_; }
  template <class F>
  __device__ void each(int64_t n, const F& f) {
    for (int64_t i = thread_; i < n; i += threads_) f(i);
    barrier();
  }
  template <class F>
  __device__ void each_warp(int64_t n, const F& f) {
    for (int64_t i = thread_ / kWarp; i < n; i += threads_ / kWarp) f(i);
    barrier();
  }
  template <int tiles>
  using Tile = WarpTile<tiles>;

  // Of a block; a grid has no memory of its own.
  __device__ void copy(void* to, const void* from, int64_t bytes) {
    for (int64_t at = threadIdx.x * 16; at < bytes; at += blockDim.x * 16)
      __pipeline_memcpy_async(static_cast<char*>(to) + at, static_cast<const char*>(from) + at, 16);
    __pipeline_commit();
  }
  __device__ void wait_for_copies() {
    __pipeline_wait_prior(0);
    __syncthreads();
  }

 private:
  __device__ void barrier() {
    if (whole_grid_)
      cooperative_groups::this_grid().sync();
    else
      __syncthreads();
  }
  const bool whole_grid_;
  const int64_t thread_, threads_;
};
#endif

}  // namespace cuda
}  // namespace genfast
