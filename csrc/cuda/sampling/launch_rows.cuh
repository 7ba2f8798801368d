// Launches programs whose blocks of threads each have their own rows and shared memory.
#pragma once
#include "base/errors.h"
#include "cuda/sampling/launch.cuh"
#include "cuda/sampling/row_plan.h"

namespace genfast {
namespace cuda {

template <class Program>
__global__ void __launch_bounds__(Program::kThreads)
    on_rows(const __grid_constant__ RowArgs args, const __grid_constant__ RowPlan plan) {
  extern __shared__ __align__(16) char memory[];
  DeviceExecutor executor(false);
  Program::run(executor, args, plan, blockIdx.x, gridDim.x, memory);
}

inline int64_t attribute(int device, cudaDeviceAttr which) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
  return value;
}

template <class Program>
void launch_blocks(const Place& place, const RowArgs& args, const RowPlan& plan, int64_t blocks, int64_t bytes) {
  if (blocks > 0x7fffffff) throw ArgumentError("too many rows for one launch: " + std::to_string(args.rows) + "; sample in parts");
  const CurrentDevice current(place.device);
  if (bytes > 48 * 1024)
    check(cudaFuncSetAttribute(on_rows<Program>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
          "cudaFuncSetAttribute", Program::name);
  void* arguments[] = {const_cast<RowArgs*>(&args), const_cast<RowPlan*>(&plan)};
  check(cudaLaunchKernel(on_rows<Program>, dim3(static_cast<unsigned>(blocks)), dim3(static_cast<unsigned>(plan.threads)),
                         arguments, static_cast<size_t>(bytes), static_cast<cudaStream_t>(place.stream)),
        Program::name, "sampling");
}

}  // namespace cuda
}  // namespace genfast
