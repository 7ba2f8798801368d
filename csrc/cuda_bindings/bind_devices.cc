// What genfast/devices.py is told about GPUs and the CUDA around them. A build without nvcc knows of none.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "cuda/device.h"
#include "cuda/failure.h"

namespace py = pybind11;

namespace genfast {

void bind_devices(py::module_& m) {
  py::class_<cuda::Device>(m, "Device", "A GPU: its index, name, compute capability and sizes in bytes.")
      .def_readonly("index", &cuda::Device::index)
      .def_readonly("name", &cuda::Device::name)
      .def_property_readonly("capability", [](const cuda::Device& d) { return py::make_tuple(d.major, d.minor); })
      .def_readonly("memory", &cuda::Device::memory)
      .def_readonly("processors", &cuda::Device::processors)
      .def_readonly("shared_bytes", &cuda::Device::shared_bytes)
      .def_readonly("l2_bytes", &cuda::Device::l2_bytes);
  py::class_<cuda::Survey>(m, "Survey", "What there is: versions as 1000 major + 10 minor, the driver's 0 where there is none.")
      .def_readonly("runtime", &cuda::Survey::runtime)
      .def_readonly("driver", &cuda::Survey::driver)
      .def_readonly("error", &cuda::Survey::error)
      .def_readonly("meaning", &cuda::Survey::meaning)
      .def_readonly("devices", &cuda::Survey::devices);
#if defined(GENFAST_CUDA_HOST)
  m.attr("oldest_capability") = py::none();
#else
  m.attr("oldest_capability") = py::make_tuple(GENFAST_CUDA_OLDEST / 10, GENFAST_CUDA_OLDEST % 10);
  m.def("survey", &cuda::survey, "Looks for a driver and its devices; absent from a build without nvcc.");
#endif
  m.def("fail", &cuda::fail, "Throws what a failed call or kernel throws: for tests of the words.", py::arg("call"),
        py::arg("step"), py::arg("code"), py::arg("meaning"), py::arg("lost"));
  m.def("fail_memory", &cuda::fail_memory, "Throws what a failed allocation throws: for tests of the words.", py::arg("bytes"),
        py::arg("what"), py::arg("free"), py::arg("total"), py::arg("advice"));
}

}  // namespace genfast
