// The GPUs of this machine and the CUDA around them: facts only, which genfast/devices.py puts into words. Creates no context on
// any device. Defined in device.cu, so absent from a build without nvcc.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace genfast {
namespace cuda {

struct Device {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int64_t memory = 0;        // bytes in all
  int processors = 0;        // streaming multiprocessors
  int64_t shared_bytes = 0;  // of shared memory that a block may have, opting in
  int64_t l2_bytes = 0;
};

struct Survey {
  int runtime = 0;             // CUDA's numbering, 1000 · major + 10 · minor: what this build was made with
  int driver = 0;              // what the driver supports; 0 without a driver
  std::string error, meaning;  // why devices could not be counted: CUDA's name and sentence; "" where they could
  std::vector<Device> devices;
};

// Throws DeviceError when a device that was counted cannot be asked.
Survey survey();

}  // namespace cuda
}  // namespace genfast
