// Kernels by the name of their target, for the bindings that call one at a time (bind_kernels.cc, bind_head_kernels.cc).
#pragma once
#include <string>

#include "bindings/arrays.h"
#include "kernels/kernels.h"

namespace genfast {

// "" names the one in use.
inline const Kernels& target(const std::string& name) {
  if (name.empty()) return active_kernels();
  int count;
  const Kernels* const* all = all_targets(&count);
  for (int i = 0; i < count; ++i)
    if (name == all[i]->target) {
      require(all[i]->supported(), "target " + name + " is not supported by this CPU");
      return *all[i];
    }
  throw pybind11::value_error("unknown target " + name);
}

}  // namespace genfast
