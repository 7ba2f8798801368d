// Exceptions of base/errors.h become the classes of genfast/errors.py here and nowhere else. For the module.cc of each extension
// module; it imports genfast.errors only when something was thrown.
#pragma once
#include <pybind11/pybind11.h>

#include "base/errors.h"

namespace genfast {

inline void raise(const char* name, const std::exception& error) {
  const pybind11::object type = pybind11::module_::import("genfast.errors").attr(name);
  PyErr_SetString(type.ptr(), error.what());
}

// For pybind11::register_local_exception_translator; lets other exceptions pass.
inline void translate(std::exception_ptr pointer) {
  try {
    std::rethrow_exception(pointer);
  } catch (const FormatError& e) {
    raise("FormatError", e);
  } catch (const NotCausalError& e) {
    raise("NotCausalError", e);
  } catch (const UnsupportedOpError& e) {
    raise("UnsupportedOpError", e);
  } catch (const NumericalError& e) {
    raise("NumericalError", e);
  } catch (const DeviceMemoryError& e) {
    raise("DeviceMemoryError", e);
  } catch (const DeviceError& e) {
    raise("DeviceError", e);
  } catch (const ArgumentError& e) {
    PyErr_SetString(PyExc_ValueError, e.what());
  } catch (const Interrupted& e) {
    PyErr_SetString(PyExc_KeyboardInterrupt, e.what());
  } catch (const Error& e) {
    raise("Error", e);
  }
}

}  // namespace genfast
