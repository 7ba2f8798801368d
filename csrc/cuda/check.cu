#include "cuda/check.h"
#include "cuda/failure.h"

namespace genfast {
namespace cuda {
namespace {

// After these every later call in the process fails too.
bool loses_the_device(cudaError_t status) {
  switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}

}  // namespace

void check(cudaError_t status, const char* call, const std::string& step) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // or the next launch would be blamed for it
  fail(call, step, cudaGetErrorName(status), cudaGetErrorString(status), loses_the_device(status));
}

void check_memory(cudaError_t status, int64_t bytes, const std::string& what, const std::string& advice) {
  if (status != cudaErrorMemoryAllocation) return check(status, "allocation", what);
  cudaGetLastError();
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo", what);
  fail_memory(bytes, what, static_cast<int64_t>(free), static_cast<int64_t>(total), advice);
}

}  // namespace cuda
}  // namespace genfast
