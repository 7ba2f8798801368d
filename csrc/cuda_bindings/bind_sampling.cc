// `genfast._cuda.sampling`: the sampling programs over arrays that genfast/device_arrays.py has borrowed, converted and broadcast.
// Sizes, types and devices are checked again here, because a kernel checks nothing. Nothing is allocated and nothing waits for a
// device.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bindings/family_names.h"
#include "cuda/sampling/elementwise.h"
#include "cuda/sampling/rows.h"
#include "cuda/sampling/tables.h"
#include "cuda_bindings/reach.h"

namespace py = pybind11;

namespace genfast {
namespace {

using cuda::Place;

cuda::RealOut real_out(const Place& place, const Tensor& out) {
  if (holds<float>(out)) return {nullptr, writing<float>(place, out, "out", 0)};
  return {writing<double>(place, out, "out", 0), nullptr};
}

// An array of float32 or float64 that repeats over n elements, or the uniforms from (seed, row, first site) on.
using Counter = std::tuple<uint64_t, uint64_t, uint64_t>;
using Numbers = std::variant<const Tensor*, Counter>;
cuda::Argument argument(const Place& place, const Numbers& x, int64_t n) {
  if (const Counter* counter = std::get_if<Counter>(&x))
    return {nullptr, nullptr, 1, std::get<0>(*counter), std::get<1>(*counter), std::get<2>(*counter)};
  const Tensor& tensor = *std::get<const Tensor*>(x);
  require(n == 0 || (tensor.size() > 0 && n % tensor.size() == 0), "x does not repeat evenly over out");
  if (holds<float>(tensor)) return {nullptr, reading<float>(place, tensor, "x", 0), tensor.size(), 0, 0, 0};
  return {reading<double>(place, tensor, "x", 0), nullptr, tensor.size(), 0, 0, 0};
}

// An array of float32 or float64 that is read again and again.
cuda::Repeating repeating(const Place& place, const Tensor& array, const std::string& name) {
  if (holds<float>(array)) return {nullptr, reading<float>(place, array, name, 0), array.size(), 0.0};
  return {reading<double>(place, array, name, 0), nullptr, array.size(), 0.0};
}

void evaluate(const Place& place, const std::string& family, const std::string& fn, const Numbers& x,
              const std::vector<std::variant<double, const Tensor*>>& params, const Tensor& out, bool unchecked) {
  cuda::ElementwiseArgs args{};
  args.family = family_named(family);
  args.fn = function_named(fn);
  args.n = out.size();
  args.x = argument(place, x, args.n);
  require(static_cast<int>(params.size()) == info(args.family).params,
          family + " takes " + std::to_string(info(args.family).params) + " parameters");
  for (size_t j = 0; j < params.size(); ++j) {
    if (const double* value = std::get_if<double>(&params[j])) {
      args.params[j] = {nullptr, nullptr, 1, *value};
      continue;
    }
    const Tensor& array = *std::get<const Tensor*>(params[j]);
    require(args.n == 0 || (array.size() > 0 && args.n % array.size() == 0), "a parameter does not repeat evenly over out");
    args.params[j] = repeating(place, array, "a parameter");
  }
  args.unchecked = unchecked;
  args.out = real_out(place, out);
  if (args.n) cuda::evaluate(place, args);
}

void fill_uniforms(const Place& place, const Tensor& out, uint64_t seed, uint64_t first_row, uint64_t first_site, int64_t rows,
                   int64_t sites) {
  require(rows >= 0 && sites >= 0 && out.size() == rows * sites, "out must have rows * sites elements");
  if (rows && sites) cuda::fill_uniforms(place, {seed, first_row, first_site, rows, sites, real_out(place, out)});
}

void log_weights(const Place& place, const Tensor& weights, const Tensor& out) {
  require(out.size() == weights.size(), "out must have an element for each weight");
  const cuda::LogWeightArgs args{repeating(place, weights, "weights"), out.size(), writing<double>(place, out, "out", 0)};
  if (args.n) cuda::log_weights(place, args);
}

// The arrays of an inverse table, in the order of InverseTableView. Their indices were checked when the table was made.
void invert(const Place& place, const std::vector<const Tensor*>& parts, int64_t rows, bool complement, const Numbers& u,
            const Tensor& out) {
  require(parts.size() == 11 && rows >= 1, "a table has eleven arrays");
  cuda::InverseTableArgs args{};
  const auto doubles = [&](int i, int64_t least) { return reading<double>(place, *parts[i], "a table's array", least); };
  const auto ints = [&](int i, int64_t least) { return reading<int32_t>(place, *parts[i], "a table's array", least); };
  args.table = {doubles(0, rows * kInverseRowCells * 8),
                ints(1, rows * kInverseRowCells),
                reading<int64_t>(place, *parts[2], "a table's array", 2 * rows + 1),
                ints(3, 2 * rows),
                ints(4, 2 * rows),
                ints(5, 0),
                doubles(6, 0),
                doubles(7, 0),
                doubles(8, rows),
                doubles(9, rows),
                doubles(10, rows)};
  args.rows = rows;
  args.n = out.size();
  args.complement = complement;
  args.u = argument(place, u, args.n);
  args.out = real_out(place, out);
  if (args.n) cuda::invert(place, args);
}

void look_up(const Place& place, const Tensor& cumulative, const Tensor& guide, double total, const Tensor* index, const Numbers& u,
             const Tensor& out) {
  cuda::GuideTableArgs args{};
  args.cumulative = reading<double>(place, cumulative, "cumulative", 1);
  args.guide = reading<int32_t>(place, guide, "guide", 1);
  args.guide_size = guide.size();
  require((args.guide_size & (args.guide_size - 1)) == 0, "the guide's size must be a power of two");
  args.total = total;
  args.index = index ? reading<int32_t>(place, *index, "index", cumulative.size()) : nullptr;
  args.n = out.size();
  args.u = argument(place, u, args.n);
  args.out = writing<int64_t>(place, out, "out", 0);
  if (args.n) cuda::look_up(place, args);
}

// One value, or one a row.
template <class T>
using OfRow = std::variant<T, const Tensor*>;
template <class T>
cuda::OfRow<T> of_row(const Place& place, const OfRow<T>& value, const std::string& name, int64_t rows) {
  if (const T* one = std::get_if<T>(&value)) return {nullptr, *one};
  return {reading<T>(place, *std::get<const Tensor*>(value), name, rows), T()};
}

cuda::RowKind kind_of(const Tensor& data, bool weights) {
  using cuda::RowKind;
  if (data.is(dlpack::kFloat, 32)) return weights ? RowKind::weights_f32 : RowKind::f32;
  if (data.is(dlpack::kFloat, 64)) return weights ? RowKind::weights_f64 : RowKind::f64;
  require(!weights, "weights must be float32 or float64, not " + data.dtype());
  if (data.is(dlpack::kBfloat, 16)) return RowKind::bf16;
  if (data.is(dlpack::kFloat, 16)) return RowKind::f16;
  throw py::type_error("logits must be float64, float32, float16 or bfloat16, not " + data.dtype());
}

// What sample_rows() wants of workspace, in bytes: 0 for rows that are not filtered.
int64_t row_workspace(const Place& place, const Tensor& data, bool filtered) {
  const std::vector<int64_t> shape = data.shape();
  require(shape.size() == 2, "data must be (rows, columns)");
  return filtered ? cuda::filtered_bytes(kind_of(data, false), shape[1], cuda::filtered_slots(place, shape[0])) : 0;
}

// data: (rows, columns). u: (rows, draws), or a seed. out: (draws, rows). good: (rows,), of bytes.
void sample_rows(const Place& place, const Tensor& data, bool weights, const OfRow<double>& temperature, bool filtered,
                 const OfRow<int64_t>& top_k, const OfRow<double>& top_p, const OfRow<double>& min_p,
                 const std::variant<uint64_t, const Tensor*>& u, const Tensor& out, int64_t bad, const Tensor* good,
                 const Tensor* workspace, bool distrust) {
  const std::vector<int64_t> shape = data.shape(), drawn = out.shape();
  require(shape.size() == 2 && shape[1] >= 1 && shape[1] <= 0x7fffffff, "data must be (rows, columns)");
  require(drawn.size() == 2 && drawn[1] == shape[0], "out must be (draws, rows)");
  cuda::RowArgs args{};
  args.kind = kind_of(data, weights);
  require_reachable(place, data, "data");
  args.data = data.data();
  args.stride = args.columns = shape[1];
  args.rows = shape[0];
  args.draws = drawn[0];
  args.temperature = of_row(place, temperature, "temperature", args.rows);
  args.filtered = filtered;
  args.top_k = of_row(place, top_k, "top_k", args.rows);
  args.top_p = of_row(place, top_p, "top_p", args.rows);
  args.min_p = of_row(place, min_p, "min_p", args.rows);
  if (const uint64_t* seed = std::get_if<uint64_t>(&u)) {
    args.seed = *seed;
  } else {
    const Tensor& given = *std::get<const Tensor*>(u);
    require(given.size() == args.rows * args.draws, "u must have one uniform a draw");
    if (holds<float>(given))
      args.u32 = reading<float>(place, given, "u", 0);
    else
      args.u64 = reading<double>(place, given, "u", 0);
    args.u_row = args.draws;
    args.u_draw = 1;
  }
  args.level = writing<int64_t>(place, out, "out", 0);
  args.bad = bad;
  args.good = good ? writing<uint8_t>(place, *good, "good", args.rows) : nullptr;
  if (!args.rows || !args.draws) return;
  if (filtered) {
    require(!weights, "weights are not filtered");
    args.slots = cuda::filtered_slots(place, args.rows);
    const int64_t bytes = cuda::filtered_bytes(args.kind, args.columns, args.slots);
    require(workspace != nullptr, "filtered rows need a workspace");
    args.workspace = writing<uint8_t>(place, *workspace, "workspace", bytes);
    require(reinterpret_cast<uintptr_t>(args.workspace) % 16 == 0, "the workspace must be aligned to 16 bytes");
    args.distrust = distrust;
  }
  cuda::sample_rows(place, args);
}

}  // namespace

void bind_sampling(py::module_& m) {
  using namespace py::literals;
  py::module_ s = m.def_submodule("sampling", "Sampling programs over borrowed arrays. Private.");
  py::class_<Tensor, std::unique_ptr<Tensor>>(s, "Tensor", "An array borrowed by its DLPack capsule.")
      .def(py::init<const py::capsule&>(), "capsule"_a)
      .def_property_readonly("shape", [](const Tensor& t) { return py::tuple(py::cast(t.shape())); })
      .def_property_readonly("dtype", &Tensor::dtype)
      .def_property_readonly("device", [](const Tensor& t) { return py::make_tuple(t.device_type(), t.device_id()); })
      .def_property_readonly("read_only", &Tensor::read_only)
      .def_property_readonly("contiguous", &Tensor::contiguous);
  py::class_<Place>(s, "Place", "Where a program runs.")
      .def_static(
          "on",
          [](int device, uintptr_t stream) {
            Place place;
            place.emulated = false;
            place.device = device;
            place.stream = reinterpret_cast<void*>(stream);
            return place;
          },
          "device"_a, "stream"_a)
      .def_static(
          "emulated",
          [](const std::string& order, int64_t shared_bytes) {
            using Order = cuda::HostExecutor::Order;
            require(order == "rising" || order == "falling" || order == "shuffled", "unknown order " + order);
            Place place;
            place.order = order == "rising" ? Order::rising : order == "falling" ? Order::falling : Order::shuffled;
            place.shared_bytes = shared_bytes;
            return place;
          },
          "order"_a = "rising", "shared_bytes"_a = Place().shared_bytes);
  s.def("evaluate", &evaluate, "place"_a, "family"_a, "fn"_a, "x"_a, "params"_a, "out"_a, "unchecked"_a = false,
        "Fills out; x and parameters repeat. NaN for a probability outside [0, 1] and, if unchecked, for bad parameters.");
  s.def("fill_uniforms", &fill_uniforms, "place"_a, "out"_a, "seed"_a, "first_row"_a, "first_site"_a, "rows"_a, "sites"_a);
  s.def("log_weights", &log_weights, "place"_a, "weights"_a, "out"_a);
  s.def("invert", &invert, "place"_a, "parts"_a, "rows"_a, "complement"_a, "u"_a, "out"_a,
        "The inverse table's rows in turn: element i is of row i % rows.");
  s.def("look_up", &look_up, "place"_a, "cumulative"_a, "guide"_a, "total"_a, "index"_a, "u"_a, "out"_a);
  s.def("row_workspace", &row_workspace, "place"_a, "data"_a, "filtered"_a);
  s.def(
      "row_shared_bytes",
      [](int kind, bool filtered, int64_t rows, int64_t columns, int64_t draws, int64_t shared_bytes) {
        require(kind >= 0 && kind < static_cast<int>(cuda::RowKind::count), "kind is out of range");
        return cuda::row_shared_bytes(static_cast<cuda::RowKind>(kind), filtered, rows, columns, draws, shared_bytes);
      },
      "kind"_a, "filtered"_a, "rows"_a, "columns"_a, "draws"_a, "shared_bytes"_a, "Of a block of threads: for tests.");
  s.def("sample_rows", &sample_rows, "place"_a, "data"_a, "weights"_a, "temperature"_a, "filtered"_a, "top_k"_a, "top_p"_a,
        "min_p"_a, "u"_a, "out"_a, "bad"_a = -1, "good"_a = nullptr, "workspace"_a = nullptr, "distrust"_a = false);
}

}  // namespace genfast
