// Runs a program of this room on the host: for the .cc files, which g++ compiles.
#pragma once
#include "base/float_env.h"
#include "cuda/on_host.h"
#include "cuda/sampling/place.h"

namespace genfast {
namespace cuda {

template <class Program, class Args>
void interpret(const Place& place, const Args& args) {
  const IeeeFloatScope scope;
  on_host(place.order, 1, [&](auto& executor) { Program::run(executor, args); });
}

}  // namespace cuda
}  // namespace genfast
