// genfast._core: the Python module. Each bind_*.cc adds its part.
#include <pybind11/pybind11.h>

#include "bindings/translate.h"

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

PYBIND11_MODULE(_core, m) {
  m.doc() = "The C++ core of genfast: model files, plans, the incremental sampler and its kernels.";
  py::register_local_exception_translator(genfast::translate);
  m.attr("interface") = GENFAST_INTERFACE;  // setup.py's; genfast._cuda must have the same
  genfast::bind_categorical(m);
  genfast::bind_distributions(m);
  genfast::bind_graph(m);
  genfast::bind_inverse_table(m);
  genfast::bind_kernels(m);
  genfast::bind_model(m);
  genfast::bind_uniforms(m);
}
