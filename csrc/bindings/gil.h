// The GIL, released for the length of a scope. For bindings/ only. Unlike pybind11's guard its destructor may be unwound: Python
// ends a daemon thread that asks for the GIL at exit by unwinding it, and a noexcept destructor would turn that into an abort.
#pragma once
#include <unistd.h>

#include "bindings/pybind.h"

namespace genfast {

class ReleasedGil {
 public:
  ReleasedGil() : state_(PyEval_SaveThread()) {}
  ReleasedGil(const ReleasedGil&) = delete;
  ReleasedGil& operator=(const ReleasedGil&) = delete;
  ~ReleasedGil() noexcept(false) {
    // The interpreter is going away and will not come back for this thread.
    while (finalizing()) pause();
    PyEval_RestoreThread(state_);
  }

 private:
  static bool finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsFinalizing();
#else
    return _Py_IsFinalizing();
#endif
  }
  PyThreadState* state_;
};

}  // namespace genfast
