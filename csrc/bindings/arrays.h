// The arrays that bindings take and make, and how a wrong one is refused. Contiguous and of exactly this type: a binding that takes
// more says so itself. For bindings/*.cc.
#pragma once
#include <pybind11/numpy.h>

#include <cstdint>
#include <string>

namespace genfast {

using Doubles = pybind11::array_t<double, pybind11::array::c_style>;
using FloatRows = pybind11::array_t<float, pybind11::array::c_style>;
using Longs = pybind11::array_t<int64_t, pybind11::array::c_style>;
using Levels = pybind11::array_t<int32_t, pybind11::array::c_style>;

inline void require(bool condition, const char* message) {
  if (!condition) throw pybind11::value_error(message);
}
inline void require(bool condition, const std::string& message) { require(condition, message.c_str()); }

}  // namespace genfast
