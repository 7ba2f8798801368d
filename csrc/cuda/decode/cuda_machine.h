// The GPU as a Machine: its memory, streams and kernels. Defined in cuda_machine.cu, so absent from a build without nvcc.
#pragma once
#include <memory>

#include "cuda/decode/machine.h"

namespace genfast {
namespace cuda {

// Of the CUDA device of that index. Throws DeviceError where it cannot be used.
std::unique_ptr<Machine> make_cuda_machine(int index);

}  // namespace cuda
}  // namespace genfast
