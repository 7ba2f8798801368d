// The tables' programs, a number an item. Included by their two forms.
#pragma once
#include "cuda/sampling/argument.h"
#include "cuda/sampling/row_source.h"
#include "cuda/sampling/tables.h"
#include "numerics/inverse_table.h"

namespace genfast {
namespace cuda {

// As kernels/inverse_table-inl.h: one look-up and one polynomial, and NaN where that is not enough.
GENFAST_HD inline double inverse_value(const InverseTableView& table, int64_t row, double p, bool complement) {
  const bool large = p > 0.5, upper = large != complement;
  const double v = large ? 1.0 - p : p;
  if (v >= 0x1p-11 && v < 0.5) {
    const uint64_t bits = numerics::to_bits(v);
    const int64_t cell =
        static_cast<int64_t>((bits >> (52 - kInverseCellBits)) - numerics::kFirstCell) + (upper ? kInverseCells + 1 : 0);
    const double x =
        numerics::mantissa_piece(v, kInverseCellBits, table.cells + (row * kInverseRowCells + cell) * numerics::kPieceCoefficients);
    if (x == x) return x;
  }
  return numerics::inverse_slow(table, row, v, upper);
}

// set(i, u) for every number's u, NaN where that is no probability.
template <class Executor, class Args, class Set>
GENFAST_HD void each_probability(Executor& executor, const Args& a, const Set& set) {
  executor.each(a.n, [&](int64_t i) {
    const double u = argument<double>(a.u, i);
    set(i, u >= 0.0 && u <= 1.0 ? u : __builtin_nan(""));
  });
}

struct InverseTableProgram {
  static constexpr const char* name = "inverse table";
  template <class Executor>
  static GENFAST_HD void run(Executor& executor, const InverseTableArgs& a) {
    each_probability(executor, a, [&](int64_t i, double u) {
      store(a.out, i, u == u ? inverse_value(a.table, i % a.rows, u, a.complement) : u);
    });
  }
};

struct GuideTableProgram {
  static constexpr const char* name = "guide table";
  static GENFAST_HD int64_t level(const GuideTableArgs& a, double u) {
    const double target = least_target(u * a.total);
    const int64_t cell = static_cast<int64_t>(u * static_cast<double>(a.guide_size)), last = a.guide_size - 1;
    int64_t k = a.guide[cell < last ? cell : last];
    while (a.cumulative[k] < target) ++k;
    return a.index ? a.index[k] : k;
  }
  template <class Executor>
  static GENFAST_HD void run(Executor& executor, const GuideTableArgs& a) {
    each_probability(executor, a, [&](int64_t i, double u) { a.out[i] = u == u ? level(a, u) : -1; });
  }
};

}  // namespace cuda
}  // namespace genfast
