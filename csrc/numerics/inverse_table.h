// The pieces an inverse table is made of: a polynomial in the low bits of v, and for the tails a polynomial in log2 v; and the way
// to the right one, where it is not the short one of kernels/inverse_table-inl.h. Called by that kernel, by cuda/sampling/ and by
// the Python code that builds the tables and must see the same bits.
//
// Both are monotone in v as floating-point functions, which the builder proves from the coefficients. That is why the logarithm and
// the power below work on steps of 2^-40: a step moves the result by far more than its rounding error.
#pragma once
#include "numerics/inverse_table_view.h"
#include "numerics/lane.h"

namespace genfast {
namespace numerics {

constexpr int kPieceCoefficients = 8;  // a piece: c0 + c1 t + ... + c7 t^7 with t in [0, 1)
// A tail piece: middle and 1 / half length of its range of log2 v, anchor a, mode, then twelve coefficients of y in [-1, 1].
// Mode 0: x = y. Mode 1: x = a + 2^y. Mode -1: x = a - 2^y.
constexpr int kTailPieceSize = 16, kTailCoefficients = 12;

template <class F, int n>
GENFAST_INLINE F horner(F t, const F* c) {
  F r = c[n - 1];
#pragma GCC unroll 16
  for (int j = n - 2; j >= 0; --j) r = fma(r, t, c[j]);
  return r;
}

// log2 of a normal v > 0, of which it sees the first 40 bits: log2(1 + m) = 2 / ln 2 artanh(m / (2 + m)), by the series of artanh.
static GENFAST_HD inline double stepped_log2(double v) {
  const uint64_t b = to_bits(v);
  const double exponent = static_cast<double>(static_cast<int64_t>(b >> 52) - 1023);
  const double m = from_bits((b & 0x000ffffffffff000) | 0x3ff0000000000000) - 1.0;
  const double z = m / (m + 2.0), z2 = z * z;
  double r = 1.0 / 33.0;
  for (int j = 31; j >= 1; j -= 2) r = fma(r, z2, 1.0 / j);
  return exponent + z * r * 0x1.71547652b82fep+1;
}

// 2^y for y rounded to a multiple of 2^-40: by Taylor's series on [-1/2, 1/2]. Below 2^-1074 it is 0, above 2^1024 infinite.
static GENFAST_HD inline double stepped_exp2(double y) {
  y = y < -1080.0 ? -1080.0 : y > 1030.0 ? 1030.0 : y;
  y = (y + 6144.0) - 6144.0;  // 6144 = 1.5 * 2^12 has units of 2^-40
  const double n = round_even(y), f = (y - n) * 0x1.62e42fefa39efp-1;
  double r = 1.0;
  for (int j = 15; j >= 1; --j) r = fma(r * f, 1.0 / j, 1.0);
  // Two factors, because 2^n alone may be subnormal or infinite where the product is not.
  const int64_t whole = static_cast<int64_t>(n), half = whole / 2;
  return r * from_bits(static_cast<uint64_t>(half + 1023) << 52) * from_bits(static_cast<uint64_t>(whole - half + 1023) << 52);
}

static GENFAST_HD inline double tail_piece(double v, const double* piece) {
  const double y = horner<double, kTailCoefficients>((stepped_log2(v) - piece[0]) * piece[1], piece + 4);
  if (piece[3] == 0.0) return y;
  const double d = stepped_exp2(y);
  return piece[3] > 0.0 ? piece[2] + d : piece[2] - d;
}

// The piece that starts after the first `used` bits of v's mantissa.
GENFAST_INLINE double mantissa_piece(double v, int used, const double* piece) {
  const double t = from_bits((to_bits(v) << used & 0x000fffffffffffff) | 0x3ff0000000000000) - 1.0;
  return horner<double, kPieceCoefficients>(t, piece);
}

constexpr uint64_t kFirstCell = uint64_t{1023 - 1 - kInverseOctaves} << kInverseCellBits;  // bits(2^-11) >> 49

// F^-1 of v = min(u, 1 - u) in [0, 1/2], on the upper side of the median or the lower, wherever the cells say NaN.
static GENFAST_HD inline double inverse_slow(const InverseTableView& table, int64_t row, double v, bool upper) {
  if (v == 0.5) return table.middle[row];
  if (v == 0.0) return upper ? table.high[row] : table.low[row];
  if (v < 0x1p-1022) v = 0x1p-1022;
  const uint64_t bits = to_bits(v);
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
    if (ref >= 0) return tail_piece(v, table.tail_pieces + int64_t{ref} * kTailPieceSize);
  }
  while (ref < 0) {
    ref = table.nodes[int64_t{-1 - ref} * 8 + static_cast<int64_t>(bits >> (49 - used) & 7)];
    used += 3;
  }
  return mantissa_piece(v, used, table.pieces + int64_t{ref} * kPieceCoefficients);
}

}  // namespace numerics
}  // namespace genfast
