// The tables' programs, a number an item. Included by their two forms.
#pragma once
#include "cuda/sampling/argument.h"
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

struct InverseTableProgram {
  static constexpr const char* name = "inverse table";
  template <class Executor>
  static GENFAST_HD void run(Executor& executor, const InverseTableArgs& a) {
    executor.each(a.n, [&](int64_t i) {
      const double u = argument<double>(a.u, i);
      const bool probability = u >= 0.0 && u <= 1.0;
      store(a.out, i, probability ? inverse_value(a.table, i % a.rows, u, a.complement) : __builtin_nan(""));
    });
  }
};

// Raising a target of 0 to the smallest positive number asks for the first category with any weight.
GENFAST_INLINE double target_of(double u, double total) {
  const double product = u * total;
  return product > 0.0 ? product : 0x1p-1074;
}

struct GuideTableProgram {
  static constexpr const char* name = "guide table";
  template <class Executor>
  static GENFAST_HD void run(Executor& executor, const GuideTableArgs& a) {
    executor.each(a.n, [&](int64_t i) {
      const double u = argument<double>(a.u, i);
      if (!(u >= 0.0 && u <= 1.0)) {
        a.out[i] = -1;
        return;
      }
      const double target = target_of(u, a.total);
      const int64_t cell = static_cast<int64_t>(u * static_cast<double>(a.guide_size)), last = a.guide_size - 1;
      int64_t k = a.guide[cell < last ? cell : last];
      while (a.cumulative[k] < target) ++k;
      a.out[i] = a.index ? a.index[k] : k;
    });
  }
};

}  // namespace cuda
}  // namespace genfast
