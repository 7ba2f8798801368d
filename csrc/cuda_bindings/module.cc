// genfast._cuda: the Python module of the GPU backend. Each bind_*.cc adds its part. Importing it touches no driver and no GPU, so
// it imports anywhere; genfast/devices.py is what imports it.
#include <pybind11/pybind11.h>

#include "bindings/translate.h"

namespace py = pybind11;

namespace genfast {
void bind_decode(py::module_& m);
void bind_device_call(py::module_& m);
void bind_devices(py::module_& m);
void bind_sampling(py::module_& m);
}  // namespace genfast

PYBIND11_MODULE(_cuda, m) {
  m.doc() = "genfast on NVIDIA GPUs, and the same device programs interpreted on the host.";
  py::register_local_exception_translator(genfast::translate);
  m.attr("interface") = GENFAST_INTERFACE;  // setup.py's; genfast._core must have the same
  genfast::bind_decode(m);
  genfast::bind_devices(m);
  genfast::bind_sampling(m);
  genfast::bind_device_call(m);
}
