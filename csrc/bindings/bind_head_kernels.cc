// The kernels of heads one at a time, for the tests: part of `genfast._core.kernels`. Every shape is checked here, because a kernel
// checks nothing. Private to the project.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "bindings/targets.h"

namespace py = pybind11;

namespace genfast {
namespace {

std::vector<const float*> row_pointers(const FloatRows& rows, int64_t columns) {
  require(rows.ndim() == 2 && rows.shape(1) >= columns, "rows must be a matrix of enough columns");
  std::vector<const float*> pointers;
  for (py::ssize_t r = 0; r < rows.shape(0); ++r) pointers.push_back(rows.data(r));
  return pointers;
}

void require_levels(const int32_t* level, int64_t n, int64_t levels) {
  require(std::all_of(level, level + n, [=](int32_t k) { return k >= 0 && k < levels; }), "level out of range");
}

// Returns (lower, upper, first bad row or -1); so does the next.
py::tuple categorical_interval(const std::string& name, const FloatRows& logits, const Levels& level, float temperature) {
  require(logits.ndim() == 2 && logits.shape(1) > 0 && level.size() == logits.shape(0) && temperature > 0, "one level a row");
  require_levels(level.data(), level.size(), logits.shape(1));
  Doubles lower(level.size()), upper(level.size());
  const int64_t bad = target(name).categorical_interval(lower.mutable_data(), upper.mutable_data(), logits.data(), logits.shape(1),
                                                        level.data(), temperature, level.size(), logits.shape(1));
  return py::make_tuple(lower, upper, bad);
}

py::tuple bernoulli_interval(const std::string& name, const FloatRows& logits, const Levels& level, float temperature, bool probs) {
  require(logits.ndim() == 2 && logits.shape(1) == 1 && level.size() == logits.shape(0) && temperature > 0, "one level a row");
  require_levels(level.data(), level.size(), 2);
  Doubles lower(level.size()), upper(level.size());
  const int64_t bad = target(name).bernoulli_interval(lower.mutable_data(), upper.mutable_data(), logits.data(), 1, probs,
                                                      level.data(), temperature, level.size());
  return py::make_tuple(lower, upper, bad);
}

// u and given, or neither. Returns (level, log_prob, lower, upper, each [channel][n]; first bad row or -1).
py::tuple logistic_mixture(const std::string& name, const FloatRows& rows, const Levels& level, const py::object& u,
                           const py::object& given, int64_t channels, int64_t components, bool coupled, double low, double high,
                           int64_t levels, bool scores) {
  require(channels > 0 && components > 0 && components <= kMostComponents && levels >= 2 && (!coupled || channels == 3),
          "bad sizes");
  const std::vector<const float*> pointers = row_pointers(rows, components * (1 + channels * (coupled ? 3 : 2)));
  const int64_t n = rows.shape(0), size = channels * n;
  require(level.size() == size, "level must be [channel][row]");
  require_levels(level.data(), size, levels);
  LogisticMixtureArgs args{};
  args.rows = pointers.data();
  args.n = n, args.channels = channels, args.components = components, args.coupled = coupled;
  args.low = low, args.step = (high - low) / static_cast<double>(levels - 1), args.levels = levels;
  Doubles uniforms;
  py::array_t<uint8_t, py::array::c_style> mask;
  if (!u.is_none()) {
    uniforms = u.cast<Doubles>();
    require(uniforms.size() == size, "u must be [channel][row]");
    args.u = uniforms.data();
  }
  if (!given.is_none()) {
    mask = given.cast<py::array_t<uint8_t, py::array::c_style>>();
    require(mask.size() == size, "given must be [channel][row]");
    args.given = mask.data();
  }
  const std::vector<py::ssize_t> shape{channels, n};
  Levels out(shape);
  Doubles log_prob(shape), lower(shape), upper(shape);
  std::copy(level.data(), level.data() + size, out.mutable_data());
  args.level = out.mutable_data();
  if (scores) args.log_prob = log_prob.mutable_data(), args.lower = lower.mutable_data(), args.upper = upper.mutable_data();
  const int64_t bad = target(name).heads->logistic_mixture(args);
  return py::make_tuple(out, log_prob, lower, upper, bad);
}

// link: its place in HeadKernels::link.
Doubles link(const std::string& name, int link, const FloatRows& rows, double scale, double shift) {
  require(link >= 0 && link < 6, "there are six links");
  const std::vector<const float*> pointers = row_pointers(rows, 1);
  Doubles out(rows.shape(0));
  target(name).heads->link[link](out.mutable_data(), pointers.data(), 0, rows.shape(0), scale, shift);
  return out;
}

// Returns (weights, log weights, each [component][n]; first bad row or -1).
py::tuple mixture_weights(const std::string& name, const FloatRows& rows) {
  const std::vector<const float*> pointers = row_pointers(rows, 1);
  require(rows.shape(1) <= kMostComponents, "too many components");
  const std::vector<py::ssize_t> shape{rows.shape(1), rows.shape(0)};
  Doubles weights(shape), logs(shape);
  const int64_t bad = target(name).heads->mixture_weights(weights.mutable_data(), logs.mutable_data(), pointers.data(), 0,
                                                          rows.shape(1), rows.shape(0));
  return py::make_tuple(weights, logs, bad);
}

Doubles log_sum_exp(const std::string& name, const Doubles& terms) {
  require(terms.ndim() == 2 && terms.shape(0) > 0, "terms must be [component][n]");
  Doubles out(terms.shape(1));
  target(name).heads->log_sum_exp(out.mutable_data(), terms.data(), terms.shape(0), terms.shape(1));
  return out;
}

}  // namespace

void bind_head_kernels(py::module_& k) {
  using namespace py::literals;
  k.def("categorical_interval", &categorical_interval, "target"_a, "logits"_a.noconvert(), "level"_a, "temperature"_a = 1.0f);
  k.def("bernoulli_interval", &bernoulli_interval, "target"_a, "logits"_a.noconvert(), "level"_a, "temperature"_a = 1.0f,
        "probs"_a = false);
  k.def("logistic_mixture", &logistic_mixture, "target"_a, "rows"_a.noconvert(), "level"_a, "u"_a = py::none(),
        "given"_a = py::none(), py::kw_only(), "channels"_a, "components"_a, "coupled"_a, "low"_a, "high"_a, "levels"_a,
        "scores"_a = true);
  k.def("link", &link, "target"_a, "link"_a, "rows"_a.noconvert(), "scale"_a, "shift"_a);
  k.def("mixture_weights", &mixture_weights, "target"_a, "rows"_a.noconvert());
  k.def("log_sum_exp", &log_sum_exp, "target"_a, "terms"_a.noconvert());
}

}  // namespace genfast
