// The inverse of a tabulated distribution function (sampling/inverse_table.h explains the table). The common case costs one look-up
// and one polynomial, without a branch on the data; what it does not cover comes out as NaN and goes the slow way.
// Included once per target by all-inl.h.
#include "numerics/inverse_table.h"

namespace genfast {
namespace GENFAST_NS {
namespace {

int64_t inverse_table(const InverseTableView& table, int64_t row, bool complement, const double* u, double* out, int64_t n) {
  const double* const cells = table.cells + row * kInverseRowCells * numerics::kPieceCoefficients;
  for (int64_t i = 0; i < n; i += 8) {
    const int64_t lanes = n - i < 8 ? n - i : 8;
    const f64x8 p = lanes == 8 ? f64x8::load(u + i) : f64x8::load_n(u + i, lanes, 0.25);
    const f64x8 q = f64x8(1.0) - p;
    const m64x8 large = p > f64x8(0.5);
    const f64x8 v = select(large, q, p);
    // The bits of a double count its octaves and their eighths. Whatever is not in [2^-11, 1/2) gets the cell of NaNs.
    const m64x8 inside = (v >= f64x8(0x1p-11)) & (v < f64x8(0.5));
    const f64x8 lower = bits_add(
        select(inside, bits_shr<52 - kInverseCellBits>(v), f64x8(numerics::from_bits(numerics::kFirstCell + kInverseCells))),
        uint64_t{0} - numerics::kFirstCell);
    const f64x8 upper = bits_add(lower, uint64_t{kInverseCells + 1});
    const f64x8 index = complement ? select(large, lower, upper) : select(large, upper, lower);
    double cell[8];
    index.store(cell);
    f64x8 c[8];
    load_rows(cells, cell, c);
    const f64x8 t = bits_or(bits_and(bits_shl<kInverseCellBits>(v), uint64_t{0x000fffffffffffff}), f64x8(1.0)) - f64x8(1.0);
    f64x8 x = c[7];
#pragma GCC unroll 8
    for (int j = 6; j >= 0; --j) x = fma(x, t, c[j]);
    const uint32_t missing = mask_bits(x != x) & ((1u << lanes) - 1);
    if (missing) {
      double from[8], result[8];
      p.store(from);
      x.store(result);
      for (int64_t j = 0; j < lanes; ++j) {
        if (!(missing >> j & 1)) continue;
        const double w = from[j];
        if (!(w >= 0.0 && w <= 1.0)) return i + j;
        const bool half = w > 0.5;
        result[j] = numerics::inverse_slow(table, row, half ? 1.0 - w : w, half != complement);
      }
      x = f64x8::load(result);
    }
    if (lanes == 8)
      x.store(out + i);
    else
      x.store_n(out + i, lanes);
  }
  return -1;
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
