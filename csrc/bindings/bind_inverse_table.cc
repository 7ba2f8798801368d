// InverseTable for genfast/distributions/inversion/, and what builds it: the two formulas of its pieces, to the last bit, and the
// panels' Chebyshev series.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstring>

#include "bindings/arrays.h"
#include "bindings/gil.h"
#include "numerics/chebyshev.h"
#include "numerics/inverse_table.h"
#include "sampling/inverse_table.h"

namespace py = pybind11;

namespace genfast {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

template <class T>
std::vector<T> copied(const Array<T>& a) {
  return std::vector<T>(a.data(), a.data() + a.size());
}

InverseTable make(int64_t rows, const Array<double>& cells, const Array<int32_t>& cell_refs, const Array<int64_t>& segment_start,
                  const Array<int32_t>& segment_exponent, const Array<int32_t>& segment_ref, const Array<int32_t>& nodes,
                  const Array<double>& pieces, const Array<double>& tail_pieces, const Array<double>& low,
                  const Array<double>& middle, const Array<double>& high) {
  auto aligned = AlignedBuffer<double>::uninitialised(static_cast<size_t>(cells.size()));
  if (cells.size()) std::memcpy(aligned.data(), cells.data(), static_cast<size_t>(cells.size()) * sizeof(double));
  return InverseTable({rows, std::move(aligned), copied(cell_refs), copied(segment_start), copied(segment_exponent),
                       copied(segment_ref), copied(nodes), copied(pieces), copied(tail_pieces), copied(low), copied(middle),
                       copied(high)});
}

// u holds a row of numbers for each row of the table, or, if shared, one for all; out one row for each. Both C-contiguous float64.
int64_t evaluate_table(const InverseTable& table, const Array<double>& u, Array<double> out, bool complement, bool shared) {
  const py::ssize_t rows = table.rows();
  const int64_t n = out.size() / rows;
  if (out.size() != n * rows || u.size() != (shared ? n : n * rows)) throw py::value_error("u and out do not fit the table's rows");
  double* data = out.mutable_data();
  const double* from = u.data();
  const ReleasedGil released;
  return table.evaluate(from, data, n, complement, shared);
}

// c: (m, 8), t: (m, k) → (m, k), with the kernel's roundings.
Array<double> horner(const Array<double>& c, const Array<double>& t) {
  if (c.ndim() != 2 || c.shape(1) != numerics::kPieceCoefficients || t.ndim() != 2 || t.shape(0) != c.shape(0))
    throw py::value_error("c must be (m, 8) and t (m, k)");
  Array<double> out(std::vector<py::ssize_t>{t.shape(0), t.shape(1)});
  for (py::ssize_t i = 0; i < t.shape(0); ++i)
    for (py::ssize_t j = 0; j < t.shape(1); ++j)
      *out.mutable_data(i, j) = numerics::horner<double, numerics::kPieceCoefficients>(*t.data(i, j), c.data(i, 0));
  return out;
}

// piece: (m, 16), v: (m, k) → (m, k).
Array<double> tail(const Array<double>& piece, const Array<double>& v) {
  if (piece.ndim() != 2 || piece.shape(1) != numerics::kTailPieceSize || v.ndim() != 2 || v.shape(0) != piece.shape(0))
    throw py::value_error("piece must be (m, 16) and v (m, k)");
  Array<double> out(std::vector<py::ssize_t>{v.shape(0), v.shape(1)});
  for (py::ssize_t i = 0; i < v.shape(0); ++i)
    for (py::ssize_t j = 0; j < v.shape(1); ++j) *out.mutable_data(i, j) = numerics::tail_piece(*v.data(i, j), piece.data(i, 0));
  return out;
}

// From here on nothing is converted: what is not contiguous or of another type is a mistake.
using Bools = py::array_t<bool, py::array::c_style>;

// Panels (panels, coefficients), and for each lane the number of its own.
void require_lanes(const Doubles& panels, const Longs& panel, const Doubles& x) {
  require(panels.ndim() == 2 && panels.shape(1) >= 1, "panels must be (panels, coefficients)");
  require(panel.size() == x.size(), "there must be a panel for every number");
  const int64_t* number = panel.data();
  for (py::ssize_t i = 0; i < panel.size(); ++i)
    require(number[i] >= 0 && number[i] < panels.shape(0), "a panel's number is out of range");
}

Doubles chebyshev(const Doubles& panels, const Longs& panel, const Doubles& tau) {
  require_lanes(panels, panel, tau);
  Doubles out(tau.size());
  double* result = out.mutable_data();
  const double *c = panels.data(), *t = tau.data();
  const int64_t* number = panel.data();
  const int64_t n = tau.size(), count = panels.shape(1);
  const ReleasedGil released;
  for (int64_t i = 0; i < n; ++i) result[i] = numerics::chebyshev(c + number[i] * count, count, t[i]);
  return out;
}

Doubles chebyshev_inverse(const Doubles& integrals, const Doubles& densities, const Longs& panel, const Doubles& share,
                          const Bools& upper) {
  require_lanes(integrals, panel, share);
  require_lanes(densities, panel, share);
  require(integrals.shape(1) == densities.shape(1) + 1 && upper.size() == share.size(), "the arrays do not fit each other");
  Doubles out(share.size());
  double* result = out.mutable_data();
  const double *f = integrals.data(), *g = densities.data(), *s = share.data();
  const int64_t* number = panel.data();
  const bool* up = upper.data();
  const int64_t n = share.size(), count = densities.shape(1);
  const ReleasedGil released;
  for (int64_t i = 0; i < n; ++i)
    result[i] = numerics::chebyshev_inverse(f + number[i] * (count + 1), g + number[i] * count, count, s[i], up[i]);
  return out;
}

}  // namespace

void bind_inverse_table(py::module_& m) {
  using namespace py::literals;
  py::class_<InverseTable>(m, "InverseTable")
      .def(py::init(&make), py::kw_only(), "rows"_a, "cells"_a, "cell_refs"_a, "segment_start"_a, "segment_exponent"_a,
           "segment_ref"_a, "nodes"_a, "pieces"_a, "tail_pieces"_a, "low"_a, "middle"_a, "high"_a)
      .def_property_readonly("rows", &InverseTable::rows)
      .def_property_readonly("bytes", &InverseTable::bytes)
      .def("evaluate", &evaluate_table, "u"_a, "out"_a.noconvert(), "complement"_a = false, "shared"_a = false);
  m.def("inverse_piece", &horner, "c"_a, "t"_a);
  m.def("inverse_tail_piece", &tail, "piece"_a, "v"_a);
  m.def("chebyshev", &chebyshev, "panels"_a.noconvert(), "panel"_a.noconvert(), "tau"_a.noconvert());
  m.def("chebyshev_inverse", &chebyshev_inverse, "integrals"_a.noconvert(), "densities"_a.noconvert(), "panel"_a.noconvert(),
        "share"_a.noconvert(), "upper"_a.noconvert());
}

}  // namespace genfast
