// Devices for models: adds backends to the registry of genfast._core, which hands it over as a capsule. genfast/devices.py calls
// it.
#include <pybind11/pybind11.h>

#include "base/errors.h"
#include "cuda/decode/cuda_machine.h"
#include "cuda/decode/decoder.h"
#include "cuda/tensor_tile.h"

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

// [lane][register] pairs of coordinates, as tensor_tile.h has them; of the right operand the places of its numbers, [k][n].
py::dict tile_layout() {
  py::list left, sums, right;
  for (int lane = 0; lane < cuda::kWarp; ++lane) {
    py::list l, s;
    for (int r = 0; r < 4; ++r) {
      l.append(py::make_tuple(cuda::left_row(lane, r), cuda::left_depth(lane, r)));
      s.append(py::make_tuple(cuda::sum_row(lane, r), cuda::sum_column(lane, r)));
    }
    left.append(l);
    sums.append(s);
  }
  for (int64_t k = 0; k < cuda::kTileDepth; ++k) {
    py::list places;
    for (int64_t n = 0; n < cuda::kTileWidth; ++n) places.append(cuda::tile_weight(k, n));
    right.append(places);
  }
  return py::dict(py::arg("left") = left, py::arg("right") = right, py::arg("sums") = sums);
}

}  // namespace

void bind_decode(py::module_& m) {
  m.def("tile_layout", &tile_layout, "Which numbers the lanes of a warp hold of a tensor core's operands: for tests.");
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
         int64_t threads, int64_t block_rows, int64_t shared_bytes) {
        if (threads < 1 || block_rows < 0 || shared_bytes < 0)
          throw ArgumentError("threads must be at least 1, block_rows and shared_bytes at least 0");
        const auto items = order_named(order);
        const cuda::Precision in = precision_named(precision);
        registry_in(registry)(
            device, [=] { return cuda::make_backend(cuda::make_emulated_machine(items, threads, block_rows, shared_bytes), in); });
      },
      "Adds a device that interprets device programs on the host: the items of a phase in `order`, as many threads as `threads` in "
      "each block, `block_rows` rows a block (0: all), and `shared_bytes` of memory for weights.",
      py::arg("registry"), py::arg("device"), py::arg("precision") = "f32", py::arg("order") = "rising", py::arg("threads") = 1,
      py::arg("block_rows") = 0, py::arg("shared_bytes") = 1 << 16);
}

}  // namespace genfast
