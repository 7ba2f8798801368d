// Runs a program of this room on the host: for the .cc files, which g++ compiles.
#pragma once
#include "base/float_env.h"
#include "cuda/sampling/place.h"

namespace genfast {
namespace cuda {

template <class Program, class Args>
void interpret(const Place& place, const Args& args) {
  const IeeeFloatScope scope;
  HostExecutor executor(place.order);
  Program::run(executor, args);
}

}  // namespace cuda
}  // namespace genfast
