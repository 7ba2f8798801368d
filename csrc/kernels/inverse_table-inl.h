// The inverse of a tabulated distribution function (sampling/inverse_table.h explains the table). The common case costs one look-up
// and one polynomial, without a branch on the data; what it does not cover comes out as NaN and goes the slow way.
// Included once per target by all-inl.h.
#include "numerics/inverse_table.h"

namespace genfast {
namespace GENFAST_NS {
namespace {

constexpr uint64_t kFirstCell = uint64_t{1023 - 1 - kInverseOctaves} << kInverseCellBits;  // bits(2^-11) >> 49

double inverse_slow(const InverseTableView& table, int64_t row, double v, bool upper) {
  if (v == 0.5) return table.middle[row];
  if (v == 0.0) return upper ? table.high[row] : table.low[row];
  if (v < 0x1p-1022) v = 0x1p-1022;
  const uint64_t bits = numerics::to_bits(v);
  int used = 0;
  int32_t ref;
  const int64_t cell = static_cast<int64_t>(bits >> (52 - kInverseCellBits)) - static_cast<int64_t>(kFirstCell);
  if (cell >= 0) {
    used = kInverseCellBits;
    ref = table.cell_refs[row * kInverseRowCells + cell + (upper ? kInverseCells + 1 : 0)];
  } else {
    const int32_t exponent = static_cast<int32_t>(bits >> 52) - 1023;
    int64_t first = table.segment_start[2 * row + upper], last = table.segment_start[2 * row + upper + 1];
    while (last - first > 1) {
      const int64_t middle = first + (last - first) / 2;
      if (table.segment_exponent[middle] <= exponent)
        first = middle;
      else
        last = middle;
    }
    ref = table.segment_ref[first];
    if (ref >= 0) return numerics::tail_piece(v, table.tail_pieces + int64_t{ref} * numerics::kTailPieceSize);
  }
  while (ref < 0) {
    ref = table.nodes[int64_t{-1 - ref} * 8 + static_cast<int64_t>(bits >> (49 - used) & 7)];
    used += 3;
  }
  return numerics::mantissa_piece(v, used, table.pieces + int64_t{ref} * numerics::kPieceCoefficients);
}

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
    const f64x8 lower =
        bits_add(select(inside, bits_shr<52 - kInverseCellBits>(v), f64x8(numerics::from_bits(kFirstCell + kInverseCells))),
                 uint64_t{0} - kFirstCell);
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
        result[j] = inverse_slow(table, row, half ? 1.0 - w : w, half != complement);
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
