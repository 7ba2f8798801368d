// Every call of the CUDA runtime goes through here, and so does every launch: no status is dropped. For .cu files only; a failure
// is an exception that names the call or kernel and the plan step. Launches are calls too (cudaLaunchKernel): the last error, which
// <<<>>> leaves, may be another library's.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

namespace genfast {
namespace cuda {

// `call` is the CUDA function, or the kernel that was launched or waited for; `step` is what it was done for, perhaps "". Throws
// DeviceError.
void check(cudaError_t status, const char* call, const std::string& step = "");
// Of an allocation of `bytes` for `what`; `advice` says what would need less ("use a smaller tile"). Throws DeviceMemoryError when
// there is too little memory.
void check_memory(cudaError_t status, int64_t bytes, const std::string& what, const std::string& advice);

}  // namespace cuda
}  // namespace genfast
