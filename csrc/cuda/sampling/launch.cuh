// Runs a program of this room on a stream: for the .cu files. Nothing here waits for the device, allocates or changes the caller's
// current device, so that a stream that is being captured may be passed.
#pragma once
#include <cuda_runtime.h>

#include <algorithm>

#include "cuda/check.h"
#include "cuda/current_device.cuh"
#include "cuda/sampling/place.h"

namespace genfast {
namespace cuda {

// The threads of the whole grid, in one phase.
class GridExecutor {
 public:
  template <class F>
  __device__ void each(int64_t n, const F& f) {
    const int64_t threads = static_cast<int64_t>(gridDim.x) * blockDim.x;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += threads) f(i);
  }
};

template <class Program, class Args>
__global__ void __launch_bounds__(256) on_grid(const __grid_constant__ Args args) {
  GridExecutor executor;
  Program::run(executor, args);
}

// For programs of one phase of n items.
template <class Program, class Args>
void launch_on_grid(const Place& place, const Args& args, int64_t n) {
  if (n <= 0) return;
  const CurrentDevice current(place.device);
  const int64_t blocks = std::min<int64_t>((n + 255) / 256, int64_t{1} << 30);
  void* arguments[] = {const_cast<Args*>(&args)};
  check(cudaLaunchKernel(on_grid<Program, Args>, dim3(static_cast<unsigned>(blocks)), dim3(256), arguments, 0,
                         static_cast<cudaStream_t>(place.stream)),
        Program::name, "sampling");
}

}  // namespace cuda
}  // namespace genfast
