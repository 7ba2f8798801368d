// Where a sampling program runs: on a stream of a device, or interpreted on the host. Every entry point of this room takes one;
// what runs is the same code either way.
#pragma once
#include "cuda/executor.h"

namespace genfast {
namespace cuda {

struct Place {
  bool emulated = true;
  HostExecutor::Order order = HostExecutor::Order::rising;  // of the items of a phase, if emulated
  int device = 0;
  int64_t shared_bytes = 64 * 1024;  // that a block of threads may have, if emulated
  void* stream = nullptr;            // a cudaStream_t of `device`; memory passed along is the device's
};

}  // namespace cuda
}  // namespace genfast
