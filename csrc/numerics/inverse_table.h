// The pieces an inverse table is made of: a polynomial in the low bits of v, and for the tails a polynomial in log2 v. Called by
// kernels/inverse_table-inl.h and by the Python code that builds the tables and must see the same bits. Formulas only: which piece
// belongs to which v is decided by the caller.
//
// Both are monotone in v as floating-point functions, which the builder proves from the coefficients. That is why the logarithm and
// the power below work on steps of 2^-40: a step moves the result by far more than its rounding error.
#pragma once
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
static inline double stepped_log2(double v) {
  const uint64_t b = to_bits(v);
  const double exponent = static_cast<double>(static_cast<int64_t>(b >> 52) - 1023);
  const double m = from_bits((b & 0x000ffffffffff000) | 0x3ff0000000000000) - 1.0;
  const double z = m / (m + 2.0), z2 = z * z;
  double r = 1.0 / 33.0;
  for (int j = 31; j >= 1; j -= 2) r = fma(r, z2, 1.0 / j);
  return exponent + z * r * 0x1.71547652b82fep+1;
}

// 2^y for y rounded to a multiple of 2^-40: by Taylor's series on [-1/2, 1/2]. Below 2^-1074 it is 0, above 2^1024 infinite.
static inline double stepped_exp2(double y) {
  y = y < -1080.0 ? -1080.0 : y > 1030.0 ? 1030.0 : y;
  y = (y + 6144.0) - 6144.0;  // 6144 = 1.5 * 2^12 has units of 2^-40
  const double n = round_even(y), f = (y - n) * 0x1.62e42fefa39efp-1;
  double r = 1.0;
  for (int j = 15; j >= 1; --j) r = fma(r * f, 1.0 / j, 1.0);
  // Two factors, because 2^n alone may be subnormal or infinite where the product is not.
  const int64_t whole = static_cast<int64_t>(n), half = whole / 2;
  return r * from_bits(static_cast<uint64_t>(half + 1023) << 52) * from_bits(static_cast<uint64_t>(whole - half + 1023) << 52);
}

static inline double tail_piece(double v, const double* piece) {
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

}  // namespace numerics
}  // namespace genfast
