// `genfast._cuda.decode`: whole calls of a model over arrays that genfast/device_calls.py has borrowed and arranged. Sizes, types
// and devices are checked again here, because a kernel checks nothing. Nothing is allocated and nothing waits for a device.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cuda/decode/device_call.h"
#include "cuda/decode/machine.h"
#include "cuda_bindings/reach.h"

namespace py = pybind11;

namespace genfast {
namespace {

using Held = std::shared_ptr<const Program>;

const Program& program_in(const py::capsule& capsule) {
  require(std::string(capsule.name()) == kProgramCapsule, "not a program of genfast._core");
  return **capsule.get_pointer<Held>();
}

// A DeviceCall that is filled array by array, by the names that TileArrays has for them.
class Call {
 public:
  Call(py::capsule program, const cuda::Place& place, int64_t rows, float temperature, float guidance, int64_t top_k, double top_p,
       double min_p, int64_t end)
      : held_(std::move(program)), place_(place), sizes_(cuda::device_sizes(program_in(held_))) {
    require(rows >= 0 && (guidance == 1.0f || rows % 2 == 0), "rows must be at least 0, and with guidance even");
    require(place.emulated ? sizes_.device < 0 : sizes_.device == place.device, "the model runs on another device than its arrays");
    call_.rows = rows;
    call_.end = end;
    call_.stream = place.stream;
    cuda::TileArrays& to = call_.arrays;
    to.rows = rows;
    to.temperature = temperature;
    to.guidance = guidance;
    to.top_k = top_k;
    to.top_p = top_p;
    to.min_p = min_p;
  }

  void set(const std::string& name, const Tensor& tensor) {
    cuda::TileArrays& to = call_.arrays;
    const int64_t rows = call_.rows, all = sizes_.sites * rows;
    const auto take = [&](auto& pointer, int64_t least) {
      using T = std::remove_const_t<std::remove_pointer_t<std::decay_t<decltype(pointer)>>>;
      pointer = writing<T>(place_, tensor, name, least);
    };
    if (name == "u") return take(to.u, all);
    if (name == "levels") return take(to.levels, all);
    if (name == "x") return take(to.x, all);
    if (name == "given") return take(to.given, all);
    if (name == "log_prob") return take(to.log_prob, all);
    if (name == "row_log_prob") return take(to.row_log_prob, rows);
    if (name == "lower") return take(to.lower, all);
    if (name == "upper") return take(to.upper, all);
    if (name == "logits") return take(to.logits, sizes_.logits * rows);
    if (name == "output") return take(to.output, sizes_.output * rows);
    if (name == "rolls") return take(to.rolls, 2 * sizes_.rounds * rows);
    if (name == "conditions") return take(to.conditions, sizes_.condition_floats * rows);
    if (name == "good") return take(to.good, rows);
    if (name == "workspace") {
      call_.workspace = writing<uint8_t>(place_, tensor, name, 0);
      call_.workspace_bytes = tensor.size();
      return;
    }
    throw py::value_error("a call has no array " + name);
  }

  // u is filled by the device, which counts.
  void count(uint64_t seed, uint64_t first_row) {
    call_.arrays.counted = true;
    call_.arrays.seed = seed;
    call_.arrays.first_row = first_row;
  }

  int64_t jitter() const { return sizes_.jitter; }
  int64_t workspace_bytes() const { return cuda::workspace_bytes(program_in(held_), call_); }

  void run() const {
    const cuda::TileArrays& a = call_.arrays;
    const bool numbers = sizes_.levels == 0;
    require(numbers ? a.x != nullptr : a.levels != nullptr, "the sites are missing");
    require(a.good && call_.workspace, "good and workspace are missing");
    require(!a.counted || a.u, "u is missing");
    require(sizes_.condition_floats == 0 || a.conditions, "conditions are missing");
    require(!a.lower == !a.upper && !a.log_prob == !a.row_log_prob, "lower and upper, log_prob and row_log_prob belong together");
    require(!a.output || (sizes_.output > 0 && (sizes_.jitter == 0 || sizes_.rounds == 0 || a.rolls)), "rolls are missing");
    const Program& program = program_in(held_);
    if (call_.rows == 0) return;
    cuda::enqueue(program, call_);
  }

 private:
  py::capsule held_;
  cuda::Place place_;
  cuda::DeviceSizes sizes_;
  cuda::DeviceCall call_;
};

}  // namespace

void bind_device_call(py::module_& m) {
  using namespace py::literals;
  py::module_ s = m.def_submodule("decode", "Whole calls of models over borrowed arrays. Private.");
  s.def("waits", &cuda::emulated_waits, "How often calls waited for an emulated device, or would have for a real one: for tests.");
  py::class_<Call>(s, "Call", "A call of a program of genfast._core, to be given its arrays: [site][row], rows side by side.")
      .def(py::init<py::capsule, const cuda::Place&, int64_t, float, float, int64_t, double, double, int64_t>(), "program"_a,
           "place"_a, "rows"_a, "temperature"_a, "guidance"_a, "top_k"_a, "top_p"_a, "min_p"_a, "end"_a)
      .def("set", &Call::set, "name"_a, "tensor"_a)
      .def("count", &Call::count, "seed"_a, "first_row"_a)
      .def("workspace_bytes", &Call::workspace_bytes)
      .def_property_readonly("jitter", &Call::jitter)
      .def("run", &Call::run);
}

}  // namespace genfast
