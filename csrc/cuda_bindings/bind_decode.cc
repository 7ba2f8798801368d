// Devices for models: adds backends to the registry of genfast._core, which hands it over as a capsule. genfast/devices.py calls
// it.
#include <pybind11/pybind11.h>

#include "base/errors.h"
#include "cuda/decode/cuda_machine.h"
#include "cuda/decode/decoder.h"

namespace py = pybind11;

namespace genfast {
namespace {

cuda::HostExecutor::Order order_named(const std::string& name) {
  if (name == "rising") return cuda::HostExecutor::Order::rising;
  if (name == "falling") return cuda::HostExecutor::Order::falling;
  if (name == "shuffled") return cuda::HostExecutor::Order::shuffled;
  throw ArgumentError("order must be rising, falling or shuffled, got '" + name + "'");
}

cuda::Precision precision_named(const std::string& name) {
  if (name == "f32") return cuda::Precision::f32;
  if (name == "fast") return cuda::Precision::fast;
  throw ArgumentError("precision must be f32 or fast, got '" + name + "'");
}

RegisterBackend registry_in(const py::capsule& capsule) { return reinterpret_cast<RegisterBackend>(capsule.get_pointer()); }

}  // namespace

void bind_decode(py::module_& m) {
#if !defined(GENFAST_CUDA_HOST)
  m.def(
      "register_gpu",
      [](const py::capsule& registry, const std::string& device, int index, const std::string& precision) {
        const cuda::Precision in = precision_named(precision);
        registry_in(registry)(device, [=] { return cuda::make_backend(cuda::make_cuda_machine(index), in); });
      },
      "Adds the CUDA device of that index.", py::arg("registry"), py::arg("device"), py::arg("index"), py::arg("precision"));
#endif
  m.def(
      "register_emulated",
      [](const py::capsule& registry, const std::string& device, const std::string& precision, const std::string& order,
         int64_t threads, int64_t block_rows) {
        if (threads < 1 || block_rows < 0) throw ArgumentError("threads must be at least 1, and block_rows at least 0");
        const auto items = order_named(order);
        const cuda::Precision in = precision_named(precision);
        registry_in(registry)(device,
                              [=] { return cuda::make_backend(cuda::make_emulated_machine(items, threads, block_rows), in); });
      },
      "Adds a device that interprets device programs on the host: the items of a phase in `order`, as many threads as `threads` in "
      "each block, `block_rows` rows a block (0: all).",
      py::arg("registry"), py::arg("device"), py::arg("precision") = "f32", py::arg("order") = "rising", py::arg("threads") = 1,
      py::arg("block_rows") = 0);
}

}  // namespace genfast
