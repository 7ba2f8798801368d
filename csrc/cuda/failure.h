// What is said when a device fails: one wording for every call and kernel. Called by check.h; knows nothing of CUDA's headers, so
// that tests can read the words on a machine without a GPU.
#pragma once
#include <cstdint>
#include <string>

namespace genfast {
namespace cuda {

// `call` names a CUDA function or a kernel, `step` the plan step or whatever it was done for, `code` is CUDA's name of the error
// and `meaning` its sentence. `lost`: nothing more can be done on the device in this process. Throws DeviceError.
[[noreturn]] void fail(const std::string& call, const std::string& step, const std::string& code, const std::string& meaning,
                       bool lost);
// `bytes` were asked for, for `what` ("activations of 4096 rows"), of `free` of `total`; `advice` says what would need less.
// Throws DeviceMemoryError.
[[noreturn]] void fail_memory(int64_t bytes, const std::string& what, int64_t free, int64_t total, const std::string& advice);

}  // namespace cuda
}  // namespace genfast
