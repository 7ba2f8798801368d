// Borrowed arrays as pointers of a Place: where they lie, what they hold and how much of it is checked here, because a kernel
// checks nothing. For the bind_*.cc files.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <type_traits>

#include "cuda/sampling/place.h"
#include "cuda_bindings/tensor.h"

namespace genfast {

inline void require(bool condition, const std::string& message) {
  if (!condition) throw pybind11::value_error(message);
}

template <class T>
constexpr bool holds(const Tensor& tensor) {
  if constexpr (std::is_floating_point_v<T>) {
    return tensor.is(dlpack::kFloat, 8 * sizeof(T));
  } else {
    return tensor.is(std::is_signed_v<T> ? dlpack::kInt : dlpack::kUint, 8 * sizeof(T));
  }
}

// The memory of an array of at least `least` elements of T, where the place can reach it.
inline void require_reachable(const cuda::Place& place, const Tensor& tensor, const std::string& name) {
  require(tensor.contiguous(), name + " must be contiguous");
  if (place.emulated)
    require(tensor.device_type() == dlpack::kCpu, name + " is not in the CPU's memory, where the emulation runs");
  else
    require(tensor.device_type() == dlpack::kCuda && tensor.device_id() == place.device,
            name + " is not on cuda:" + std::to_string(place.device));
}
template <class T>
const T* reading(const cuda::Place& place, const Tensor& tensor, const std::string& name, int64_t least) {
  require_reachable(place, tensor, name);
  require(holds<T>(tensor), name + " has the wrong dtype, " + tensor.dtype());
  require(tensor.size() >= least, name + " is too short");
  return static_cast<const T*>(tensor.data());
}
template <class T>
T* writing(const cuda::Place& place, const Tensor& tensor, const std::string& name, int64_t least) {
  require(!tensor.read_only(), name + " is read-only");
  return const_cast<T*>(reading<T>(place, tensor, name, least));
}

}  // namespace genfast
