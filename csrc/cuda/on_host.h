// How the host runs a block of device code, without a GPU: called by whatever interprets device programs. In the build that looks
// for races (`make races`) a header of the same name under tests/ takes its place, with threads.
#pragma once
#include "cuda/executor.h"

namespace genfast {
namespace cuda {

// work(executor), in every thread that the block has: the host's loop has one. threads: as many as device code should think there
// are.
template <class Work>
void on_host(HostExecutor::Order order, int64_t threads, const Work& work) {
  HostExecutor executor(order, threads);
  work(executor);
}

}  // namespace cuda
}  // namespace genfast
