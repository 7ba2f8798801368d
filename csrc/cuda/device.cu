#include <cuda_runtime_api.h>

#include "base/errors.h"
#include "cuda/check.h"
#include "cuda/device.h"

namespace genfast {
namespace cuda {
namespace {

std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

std::string too_old(const Device& device) {
  return "device cuda:" + std::to_string(device.index) + " (" + device.name + ") of compute capability " +
         std::to_string(device.major) + "." + std::to_string(device.minor) + " is too old: genfast needs " +
         std::to_string(kOldestMajor) + ".0 (Ampere) or newer";
}

// How many devices there are, or why that cannot be told. The runtime's last error is cleared: this one is no failure.
cudaError_t count_devices(int& count) {
  count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    cudaGetLastError();
    count = 0;
  }
  return status;
}

std::string why_no_devices(cudaError_t status) {
  const int driver = driver_version();
  if (driver == 0) return "no NVIDIA driver is installed (libcuda.so.1 was not found)";
  switch (status) {
    case cudaErrorInsufficientDriver:
      return "the NVIDIA driver is too old: it supports CUDA " + version_text(driver) + ", this build needs " +
             version_text(runtime_version()) + "; update the driver, or build genfast with an older nvcc";
    case cudaSuccess:
    case cudaErrorNoDevice:
      return "the NVIDIA driver sees no device (is CUDA_VISIBLE_DEVICES set?)";
    default:
      return std::string(cudaGetErrorName(status)) + ": " + cudaGetErrorString(status);
  }
}

}  // namespace

int runtime_version() {
  int version = 0;
  check(cudaRuntimeGetVersion(&version), "cudaRuntimeGetVersion");
  return version;
}

int driver_version() {
  int version = 0;
  if (cudaDriverGetVersion(&version) == cudaSuccess) return version;
  cudaGetLastError();
  return 0;
}

std::vector<Device> devices() {
  int count = 0;
  count_devices(count);
  std::vector<Device> found(count);
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, i), "cudaGetDeviceProperties");
    Device& device = found[i];
    device.index = i;
    device.name = properties.name;
    device.major = properties.major;
    device.minor = properties.minor;
    device.memory = static_cast<int64_t>(properties.totalGlobalMem);
    device.processors = properties.multiProcessorCount;
    device.shared_bytes = static_cast<int64_t>(properties.sharedMemPerBlockOptin);
    device.l2_bytes = properties.l2CacheSize;
  }
  return found;
}

std::string why_unavailable() {
  int count = 0;
  const cudaError_t status = count_devices(count);
  if (count == 0) return why_no_devices(status);
  const std::vector<Device> found = devices();
  for (const Device& device : found) {
    if (device.usable()) return "";
  }
  return too_old(found.front());
}

Device device(int index) {
  const std::vector<Device> found = devices();
  if (found.empty()) throw DeviceError("CUDA is not available: " + why_unavailable());
  if (index < 0 || index >= static_cast<int>(found.size())) {
    throw DeviceError("there is no device cuda:" + std::to_string(index) + ": this process sees " + std::to_string(found.size()) +
                      ", from cuda:0 on");
  }
  if (!found[index].usable()) throw DeviceError(too_old(found[index]));
  return found[index];
}

}  // namespace cuda
}  // namespace genfast
