// Families and their functions by name, for the bindings of both extension modules.
#pragma once
#include <pybind11/pybind11.h>

#include <string>

#include "base/families.h"

namespace genfast {

inline Family family_named(const std::string& wanted) {
  for (int i = 0; i < static_cast<int>(Family::count); ++i)
    if (wanted == info(static_cast<Family>(i)).name) return static_cast<Family>(i);
  throw pybind11::value_error("unknown family " + wanted);
}

inline FamilyFn function_named(const std::string& wanted) {
  for (int i = 0; i < static_cast<int>(FamilyFn::count); ++i)
    if (wanted == name(static_cast<FamilyFn>(i))) return static_cast<FamilyFn>(i);
  throw pybind11::value_error("unknown function " + wanted);
}

}  // namespace genfast
