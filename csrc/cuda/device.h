// The GPUs of this machine: what there is, and why there is nothing. For bindings and for whoever must choose launch sizes; never
// creates a context on a device. Defined in device.cu, so absent from a build without nvcc.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace genfast {
namespace cuda {

// Compute capability from which kernels are built for; older devices are refused.
constexpr int kOldestMajor = 8;

struct Device {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int64_t memory = 0;        // bytes in all
  int processors = 0;        // streaming multiprocessors
  int64_t shared_bytes = 0;  // of shared memory that a block may have, opting in
  int64_t l2_bytes = 0;
  bool usable() const { return major >= kOldestMajor; }
};

// CUDA's numbering, 1000 · major + 10 · minor: what this build needs, and what the driver supports (0 without a driver).
int runtime_version();
int driver_version();
// Every device of the process, usable or not; empty where there is no driver or none that serves this build.
std::vector<Device> devices();
// Why no device can be used, as the end of "CUDA is not available: …"; empty when one can.
std::string why_unavailable();
// Throws DeviceError saying why when the device is not there or too old.
Device device(int index);

}  // namespace cuda
}  // namespace genfast
