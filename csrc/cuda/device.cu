#include <cuda_runtime_api.h>

#include "cuda/check.h"
#include "cuda/device.h"

namespace genfast {
namespace cuda {

Survey survey() {
  Survey told;
  check(cudaRuntimeGetVersion(&told.runtime), "cudaRuntimeGetVersion");
  // Without a driver these are no failures but the answer, and must not be blamed on the next call.
  if (cudaDriverGetVersion(&told.driver) != cudaSuccess) told.driver = 0;
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (status != cudaSuccess) {
    told.error = cudaGetErrorName(status);
    told.meaning = cudaGetErrorString(status);
    return told;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, i), "cudaGetDeviceProperties", "cuda:" + std::to_string(i));
    Device device;
    device.index = i;
    device.name = properties.name;
    device.major = properties.major;
    device.minor = properties.minor;
    device.memory = static_cast<int64_t>(properties.totalGlobalMem);
    device.processors = properties.multiProcessorCount;
    device.shared_bytes = static_cast<int64_t>(properties.sharedMemPerBlockOptin);
    device.l2_bytes = properties.l2CacheSize;
    told.devices.push_back(device);
  }
  return told;
}

}  // namespace cuda
}  // namespace genfast
