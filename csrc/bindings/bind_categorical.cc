// Categorical draws for genfast/distributions/categorical.py, which has checked every parameter and made every array contiguous:
// `genfast._core.categorical`. Nothing is copied: a Rows keeps its arrays alive.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/gil.h"
#include "sampling/rows.h"

namespace py = pybind11;

namespace genfast {
namespace {

void poll() {
  py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

class Rows {
 public:
  // data: contiguous (…, columns), of the float type named by its number in LogitType (bfloat16 as uint16). Parameters: one value,
  // or one a row; absent ones are off.
  Rows(py::array data, int type, bool probs, std::optional<Doubles> temperature, std::optional<Longs> top_k,
       std::optional<Doubles> top_p, std::optional<Doubles> min_p)
      : data_(std::move(data)),
        temperature_(std::move(temperature)),
        top_k_(std::move(top_k)),
        top_p_(std::move(top_p)),
        min_p_(std::move(min_p)) {
    static constexpr int64_t kSizes[] = {4, 8, 2, 2};
    require(type >= 0 && type < static_cast<int>(LogitType::count) && data_.itemsize() == kSizes[type], "data is not of this type");
    require(data_.ndim() >= 1 && (data_.flags() & py::array::c_style), "data must be contiguous");
    const int64_t columns = data_.shape(data_.ndim() - 1);
    require(columns >= 1 && columns <= std::numeric_limits<int32_t>::max(), "the number of categories is out of range");
    rows_ = {};
    rows_.data = data_.data();
    rows_.type = static_cast<LogitType>(type);
    rows_.probs = probs;
    rows_.stride = rows_.columns = columns;
    rows_.rows = data_.size() / columns;
    rows_.filtered = top_k_ || top_p_ || min_p_;
    require(!probs || (type <= 1 && !temperature_ && !rows_.filtered), "probabilities are neither tempered nor filtered here");
    rows_.temperature = per_row(temperature_, kOne);
    rows_.top_k = per_row(top_k_, kAll);
    rows_.top_p = per_row(top_p_, kOne);
    rows_.min_p = per_row(min_p_, kNone);
  }

  const CategoricalRows& rows() const { return rows_; }

  // Levels in a new array of this shape, draws × rows elements, and the first bad row or -1; with `mask`, which rows are good too
  // (else None).
  py::tuple sample(const std::vector<py::ssize_t>& shape, uint64_t seed, const std::optional<Doubles>& u, bool mask) const {
    Longs out(shape);
    require(rows_.rows > 0 && out.size() % rows_.rows == 0, "the shape is no number of draws a row");
    require(!u || u->size() == out.size(), "u must have one uniform a draw");
    std::optional<py::array_t<bool>> valid;
    if (mask) valid.emplace(rows_.rows);
    int64_t* level = out.mutable_data();
    bool* good = valid ? valid->mutable_data() : nullptr;
    const int64_t draws = out.size() / rows_.rows;
    const RowUniforms uniforms{u ? u->data() : nullptr, seed};
    int64_t bad;
    {
      const ReleasedGil released;
      bad = sample_categorical(rows_, uniforms, draws, level, good, poll);
    }
    return py::make_tuple(out, bad, valid);
  }

  // (weights or their cumulative sums (rows, columns), largest (rows,), totals (rows,)); the first empty unless `dense`.
  py::tuple weights(bool dense, bool cumulative) const {
    require(dense || (!rows_.probs && !rows_.filtered), "these rows have weights only as a whole");
    const int64_t rows = rows_.rows;
    Doubles out(std::vector<py::ssize_t>{dense ? rows : 0, rows_.columns}), largest(rows), totals(rows);
    double *weight = dense ? out.mutable_data() : nullptr, *most = largest.mutable_data(), *total = totals.mutable_data();
    if (rows) {
      const ReleasedGil released;
      categorical_weights(rows_, cumulative, weight, most, total, poll);
    }
    return py::make_tuple(out, largest, totals);
  }

 private:
  static constexpr double kOne = 1.0, kNone = 0.0;
  static constexpr int64_t kAll = std::numeric_limits<int64_t>::max();

  template <class T, class Array>
  PerRow<T> per_row(const std::optional<Array>& array, const T& otherwise) const {
    if (!array) return {&otherwise, false};
    require(array->size() == 1 || array->size() == rows_.rows, "a parameter needs one value, or one a row");
    return {array->data(), array->size() != 1};
  }

  py::array data_;
  std::optional<Doubles> temperature_;
  std::optional<Longs> top_k_;
  std::optional<Doubles> top_p_, min_p_;
  CategoricalRows rows_;
};

std::unique_ptr<CategoricalTable> make_table(const Rows& rows) {
  require(rows.rows().rows == 1, "a table is of one row");
  const ReleasedGil released;
  return std::make_unique<CategoricalTable>(rows.rows());
}

Doubles log_of_weights(const Doubles& weights) {
  Doubles out(std::vector<py::ssize_t>(weights.shape(), weights.shape() + weights.ndim()));
  const double* from = weights.data();
  double* to = out.mutable_data();
  {
    const ReleasedGil released;
    log_weights(from, out.size(), to, poll);
  }
  return out;
}

Longs sample_table(const CategoricalTable& table, const std::vector<py::ssize_t>& shape, uint64_t seed,
                   const std::optional<Doubles>& u) {
  require(table.valid(), "the table has no distribution");
  Longs out(shape);
  require(!u || u->size() == out.size(), "u must have one uniform a draw");
  int64_t* level = out.mutable_data();
  const int64_t draws = out.size();
  const RowUniforms uniforms{u ? u->data() : nullptr, seed};
  if (draws) {
    const ReleasedGil released;
    sample_categorical(table, uniforms, draws, level, poll);
  }
  return out;
}

}  // namespace

void bind_categorical(py::module_& m) {
  using namespace py::literals;
  py::module_ c = m.def_submodule("categorical", "Rows of logits or probabilities. Private.");
  py::class_<Rows>(c, "Rows")
      .def(py::init<py::array, int, bool, std::optional<Doubles>, std::optional<Longs>, std::optional<Doubles>,
                    std::optional<Doubles>>(),
           "data"_a.noconvert(), "type"_a, "probs"_a, "temperature"_a, "top_k"_a, "top_p"_a, "min_p"_a)
      .def("sample", &Rows::sample, "shape"_a, "seed"_a, "u"_a, "mask"_a)
      .def("weights", &Rows::weights, "dense"_a, "cumulative"_a);
  c.def("log_weights", &log_of_weights, "weights"_a.noconvert());
  py::class_<CategoricalTable>(c, "Table")
      .def(py::init(&make_table), "rows"_a)
      .def_property_readonly("valid", &CategoricalTable::valid)
      .def_property_readonly("total", [](const CategoricalTable& t) { return t.table().total(); })
      .def_property_readonly("cumulative",
                             [](const CategoricalTable& t) { return Doubles(t.table().size(), t.table().cumulative()); })
      .def_property_readonly("guide",
                             [](const CategoricalTable& t) {
                               return Levels(static_cast<py::ssize_t>(t.table().guide().size()), t.table().guide().data());
                             })
      .def_property_readonly(
          "index", [](const CategoricalTable& t) { return Levels(static_cast<py::ssize_t>(t.index().size()), t.index().data()); },
          "Of the table's categories among all; empty when it has all.")
      .def("sample", &sample_table, "shape"_a, "seed"_a, "u"_a);
}

}  // namespace genfast
