// Which of a program's two compiled forms runs. For the .cc files that define this room's entry points; a build without nvcc has
// the interpreted form alone.
#pragma once
#include "base/errors.h"
#include "cuda/sampling/place.h"

#if defined(GENFAST_CUDA_HOST)
#define GENFAST_LAUNCH(function) nullptr
#else
#define GENFAST_LAUNCH(function) function
#endif

namespace genfast {
namespace cuda {

template <class Function>
Function* choose(const Place& place, Function* interpreted, Function* launched) {
  if (place.emulated) return interpreted;
  if (!launched) throw DeviceError("this genfast was built with GENFAST_CUDA=host: it has no device code");
  return launched;
}
template <class Function>
Function* choose(const Place& place, Function* interpreted, std::nullptr_t) {
  return choose(place, interpreted, static_cast<Function*>(nullptr));
}

}  // namespace cuda
}  // namespace genfast
