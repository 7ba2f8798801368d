// genfast._core: the Python module. Each bind_*.cc adds its part; exceptions of base/errors.h become the classes of
// genfast/errors.py here and nowhere else.
#include "base/errors.h"
#include "bindings/pybind.h"

namespace py = pybind11;

namespace genfast {
void bind_categorical(py::module_& m);
void bind_distributions(py::module_& m);
void bind_graph(py::module_& m);
void bind_inverse_table(py::module_& m);
void bind_kernels(py::module_& m);
void bind_model(py::module_& m);
void bind_uniforms(py::module_& m);
}  // namespace genfast

namespace {

void raise(const char* name, const std::exception& error) {
  const py::object type = py::module_::import("genfast.errors").attr(name);
  PyErr_SetString(type.ptr(), error.what());
}

void translate(std::exception_ptr pointer) {
  try {
    std::rethrow_exception(pointer);
  } catch (const genfast::FormatError& e) {
    raise("FormatError", e);
  } catch (const genfast::NotCausalError& e) {
    raise("NotCausalError", e);
  } catch (const genfast::UnsupportedOpError& e) {
    raise("UnsupportedOpError", e);
  } catch (const genfast::NumericalError& e) {
    raise("NumericalError", e);
  } catch (const genfast::ArgumentError& e) {
    PyErr_SetString(PyExc_ValueError, e.what());
  } catch (const genfast::Interrupted& e) {
    PyErr_SetString(PyExc_KeyboardInterrupt, e.what());
  } catch (const genfast::Error& e) {
    raise("Error", e);
  }
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "The C++ core of genfast: model files, plans, the incremental sampler and its kernels.";
  py::register_local_exception_translator(translate);
  genfast::bind_categorical(m);
  genfast::bind_distributions(m);
  genfast::bind_graph(m);
  genfast::bind_inverse_table(m);
  genfast::bind_kernels(m);
  genfast::bind_model(m);
  genfast::bind_uniforms(m);
}
