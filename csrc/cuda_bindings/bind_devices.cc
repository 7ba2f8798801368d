// The devices that genfast/devices.py lists, and why there are none. A build without nvcc has none.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "cuda/device.h"
#include "cuda/failure.h"

namespace py = pybind11;

namespace genfast {
namespace {

#if defined(GENFAST_CUDA_HOST)
constexpr bool kBuiltForGpu = false;
int runtime_version() { return 0; }
int driver_version() { return 0; }
std::vector<cuda::Device> devices() { return {}; }
std::string why_unavailable() {
  return "genfast was built with GENFAST_CUDA=host, for \"cuda-emulated\" alone; build it with GENFAST_CUDA=1 and nvcc";
}
#else
constexpr bool kBuiltForGpu = true;
using cuda::devices;
using cuda::driver_version;
using cuda::runtime_version;
using cuda::why_unavailable;
#endif

}  // namespace

void bind_devices(py::module_& m) {
  py::class_<cuda::Device>(m, "Device", "A GPU: its index, name, compute capability and sizes in bytes.")
      .def_readonly("index", &cuda::Device::index)
      .def_readonly("name", &cuda::Device::name)
      .def_property_readonly("capability", [](const cuda::Device& d) { return py::make_tuple(d.major, d.minor); })
      .def_readonly("memory", &cuda::Device::memory)
      .def_readonly("processors", &cuda::Device::processors)
      .def_readonly("shared_bytes", &cuda::Device::shared_bytes)
      .def_readonly("l2_bytes", &cuda::Device::l2_bytes)
      .def_property_readonly("usable", &cuda::Device::usable);
  m.attr("built_for_gpu") = kBuiltForGpu;
  m.def("devices", &devices, "Every GPU that this process sees, usable or not; empty without a driver.");
  m.def("why_unavailable", &why_unavailable, "Why no GPU can be used; empty when one can.");
  m.def("runtime_version", &runtime_version, "1000 major + 10 minor of the CUDA that this was built with; 0 for a host build.");
  m.def("driver_version", &driver_version, "1000 major + 10 minor of the CUDA that the driver supports; 0 without a driver.");
  m.def("fail", &cuda::fail, "Throws what a failed call or kernel throws: for tests of the words.", py::arg("call"),
        py::arg("step"), py::arg("code"), py::arg("meaning"), py::arg("lost"));
  m.def("fail_memory", &cuda::fail_memory, "Throws what a failed allocation throws: for tests of the words.", py::arg("bytes"),
        py::arg("what"), py::arg("free"), py::arg("total"), py::arg("advice"));
}

}  // namespace genfast
