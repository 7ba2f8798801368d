// exp, expm1, log and log1p over a lane type F (float or double, one lane or many). Called by the activations, the kernels and
// the samplers. Formulas only: no loops over data, no tables, no errors raised; special values follow IEEE 754.
//
// Methods: exp by Cody-Waite reduction to |r| <= ln2/2 and a minimax polynomial; log by the atanh series in s = f/(2+f) as in
// FDLIBM (Sun, 1993). Coefficients are our own Chebyshev fits.
#pragma once
#include "numerics/lane.h"

namespace genfast {
namespace numerics {

// The constants of both precisions, picked by overload on a dummy of the lane's scalar.
struct ExpLogF32 {
  using bits = uint32_t;
  static constexpr int mantissa = 23;
  static constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer kept in the low bits
  static constexpr float log2e = 0x1.715476p+0f, ln2_hi = 0.693359375f, ln2_lo = -0x1.bd0106p-13f;
  static constexpr float exp_low = -87.33654022216797f;  // the first float whose exp is not below 2^-126
  static constexpr float exp_high = 88.72283935546875f;  // the last float whose exp is finite
  static constexpr float min_normal = 0x1p-126f, infinity = __builtin_inff();
  static constexpr bits sqrt_half = 0x3f3504f3, one = 0x3f800000, fraction = 0x007fffff, to_float = 0x4b000000;
  static constexpr float log_bias = 8388608.0f + 127.0f, denormal_scale = 0x1p+24f, denormal_shift = 24.0f;
};
struct ExpLogF64 {
  using bits = uint64_t;
  static constexpr int mantissa = 52;
  static constexpr double magic = 6755399441055744.0;
  static constexpr double log2e = 0x1.71547652b82fep+0, ln2 = 0x1.62e42fefa39efp-1, ln2_hi = 0x1.62e42fee00000p-1,
                          ln2_lo = 0x1.a39ef35793c76p-33;
  static constexpr double exp_low = -708.39641853226408, exp_high = 709.78271289338397;
  static constexpr double min_normal = 0x1p-1022, infinity = __builtin_inf();
  static constexpr bits sqrt_half = 0x3fe6a09e667f3bcd, one = 0x3ff0000000000000, fraction = 0x000fffffffffffff,
                        to_float = 0x4330000000000000;
  static constexpr double log_bias = 4503599627370496.0 + 1023.0, denormal_scale = 0x1p+54, denormal_shift = 54.0;
};

// (e^r - 1 - r) / r^2 on |r| <= ln2/2.
template <class F>
GENFAST_INLINE F exp_tail(F r, ExpLogF32) {
  F q = F(0x1.6d11fep-10f);
  q = fma(q, r, F(0x1.120c62p-7f));
  q = fma(q, r, F(0x1.555518p-5f));
  q = fma(q, r, F(0x1.5554dcp-3f));
  return fma(q, r, F(0.5f));
}
template <class F>
GENFAST_INLINE F exp_tail(F r, ExpLogF64) {
  F q = F(0x1.1f7385560be05p-29);
  q = fma(q, r, F(0x1.af4ecd2129492p-26));
  q = fma(q, r, F(0x1.27e4db25ce3adp-22));
  q = fma(q, r, F(0x1.71de01c3fc936p-19));
  q = fma(q, r, F(0x1.a01a01a6ec522p-16));
  q = fma(q, r, F(0x1.a01a01ac0a9eep-13));
  q = fma(q, r, F(0x1.6c16c16c162b0p-10));
  q = fma(q, r, F(0x1.111111111009cp-7));
  q = fma(q, r, F(0x1.5555555555556p-5));
  q = fma(q, r, F(0x1.5555555555557p-3));
  return fma(q, r, F(0.5));
}

// e^r on |r| <= ln2/2. In double the last two additions are each monotone in r, and so is the result between neighbouring floats;
// in float the form is one operation shorter, and fixed by what has been drawn with it.
template <class F>
GENFAST_INLINE F exp_reduced(F r, ExpLogF32 c) {
  return fma(fma(exp_tail(r, c), r, F(1)), r, F(1));
}
template <class F>
GENFAST_INLINE F exp_reduced(F r, ExpLogF64 c) {
  return F(1) + fma(r * r, exp_tail(r, c), r);
}

// (log(1+f) series) R with log(1+f) = 2s + s z R(z), s = f/(2+f), z = s^2, for 1+f in [sqrt(1/2), sqrt(2)].
template <class F>
GENFAST_INLINE F log_tail(F z, ExpLogF32) {
  F r = F(0x1.ddd172p-3f);
  r = fma(r, z, F(0x1.245c38p-2f));
  r = fma(r, z, F(0x1.9999ecp-2f));
  return fma(r, z, F(0x1.555556p-1f));
}
template <class F>
GENFAST_INLINE F log_tail(F z, ExpLogF64) {
  F r = F(0x1.2b5b5fb2eac92p-3);
  r = fma(r, z, F(0x1.39fe208c33457p-3));
  r = fma(r, z, F(0x1.7462b69705382p-3));
  r = fma(r, z, F(0x1.c71c62debf86bp-3));
  r = fma(r, z, F(0x1.2492492df6947p-2));
  r = fma(r, z, F(0x1.99999999952b2p-2));
  return fma(r, z, F(0x1.5555555555558p-1));
}

// x - n ln2, where n ln2_hi is exact.
template <class C, class F>
GENFAST_INLINE F reduce_ln2(F x, F n) {
  return fma(n, F(-C::ln2_lo), fma(n, F(-C::ln2_hi), x));
}

template <class C, class F>
GENFAST_INLINE F exp_any(F x) {
  const F t = fma(x, F(C::log2e), F(C::magic));
  const F r = reduce_ln2<C>(x, t - F(C::magic));
  const F p = exp_reduced(r, C());
  // Adding n to the exponent field reaches 2^128 * 0.9, which no multiplication by a finite 2^n could.
  F y = bits_add(p, bits_shl<C::mantissa>(t));
  y = select(x <= F(C::exp_high), y, x + F(C::infinity));  // NaN stays NaN
  return select(x < F(C::exp_low), F(0), y);
}

// The same bits as exp_any for x <= 0 and NaN for NaN, two operations cheaper.
template <class C, class F>
GENFAST_INLINE F exp_nonpositive_any(F x) {
  constexpr auto magic = C::magic + ((typename C::bits{1} << (sizeof(typename C::bits) == 4 ? 7 : 10)) - 1);  // + exponent bias
  const F t = fma(x, F(C::log2e), F(magic));
  const F r = reduce_ln2<C>(x, t - F(magic));
  const F p = exp_reduced(r, C());
  return select(x < F(C::exp_low), F(0), p * bits_shl<C::mantissa>(t));
}

// e^x - 1 where e^x neither overflows nor leaves the normal range.
template <class C, class F>
GENFAST_INLINE F expm1_bounded(F x) {
  const F t = fma(x, F(C::log2e), F(C::magic));
  const F r = reduce_ln2<C>(x, t - F(C::magic));
  const F e = fma(r * r, exp_tail(r, C()), r);
  const F s = bits_add(F(1), bits_shl<C::mantissa>(t));
  return fma(s, e, s - F(1));
}

// k ln2 + log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)].
template <class C, class F>
GENFAST_INLINE F log_core(F f, F k) {
  const F s = f / (F(2) + f);
  const F half_square = F(0.5f) * f * f;
  const F z = s * s;
  const F inner = fma(s, fma(z, log_tail(z, C()), half_square), k * F(C::ln2_lo));
  return fma(k, F(C::ln2_hi), f - (half_square - inner));
}

template <class C, class F>
GENFAST_INLINE F log_any(F x) {
  const auto tiny = x < F(C::min_normal);
  const F scaled = select(tiny, x * F(C::denormal_scale), x);
  const F shifted = bits_add(scaled, typename C::bits(C::one - C::sqrt_half));
  const F exponent = bits_or(bits_shr<C::mantissa>(shifted), C::to_float) - F(C::log_bias);
  const F k = exponent - select(tiny, F(C::denormal_shift), F(0));
  const F m = bits_add(bits_and(shifted, C::fraction), C::sqrt_half);
  F y = log_core<C>(m - F(1), k);
  y = select(x < F(C::infinity), y, x);
  return select(x > F(0), y, select(x == F(0), F(-C::infinity), F(__builtin_nanf(""))));
}

// log(1 + e) for 0 <= e <= 1.
template <class C, class F>
GENFAST_INLINE F log1p_unit_any(F e) {
  const auto big = e > F(0.41421356f);
  return log_core<C>(select(big, (e - F(1)) * F(0.5f), e), select(big, F(1), F(0)));
}

// log(1 + x). What 1 + x rounds off goes into f, where it is exact for small x and below half an ulp of f elsewhere.
template <class C, class F>
GENFAST_INLINE F log1p_any(F x) {
  const F y = F(1) + x;
  const F rest = select(abs(x) < F(1), x - (y - F(1)), F(1) - (y - x));
  const F shifted = bits_add(y, typename C::bits(C::one - C::sqrt_half));
  const F k = bits_or(bits_shr<C::mantissa>(shifted), C::to_float) - F(C::log_bias);
  const F m = bits_add(bits_and(shifted, C::fraction), C::sqrt_half);
  const F inverse = bits_add(F(1), bits_shl<C::mantissa>(F(C::magic) - k));  // 2^-k
  F value = log_core<C>(fma(rest, inverse, m - F(1)), k);
  value = select(x < F(C::infinity), value, x);
  return select(x > F(-1), value, select(x == F(-1), F(-C::infinity), F(__builtin_nanf(""))));
}

// float, f32x16: at most 1.5 ulp (log 1 ulp, expm1 2 ulp).
template <class F>
GENFAST_INLINE F exp_f32(F x) {
  return exp_any<ExpLogF32>(x);
}
template <class F>
GENFAST_INLINE F exp_nonpositive_f32(F x) {
  return exp_nonpositive_any<ExpLogF32>(x);
}
template <class F>
GENFAST_INLINE F log_f32(F x) {
  return log_any<ExpLogF32>(x);
}
template <class F>
GENFAST_INLINE F log1p_unit_f32(F e) {
  return log1p_unit_any<ExpLogF32>(e);
}
template <class F>
GENFAST_INLINE F expm1_f32(F x) {
  // e^88 - 1 is e^88 here, and e^-20 - 1 is -1.
  const F inside = expm1_bounded<ExpLogF32>(select(x < F(-20.0f), F(-20.0f), x));
  const F outside = exp_f32(x);
  return select(x <= F(80.0f), inside, outside);
}

// double, f64x8.
template <class F>
GENFAST_INLINE F exp_f64(F x) {
  return exp_any<ExpLogF64>(x);
}
template <class F>
GENFAST_INLINE F exp_nonpositive_f64(F x) {
  return exp_nonpositive_any<ExpLogF64>(x);
}
template <class F>
GENFAST_INLINE F log_f64(F x) {
  return log_any<ExpLogF64>(x);
}
template <class F>
GENFAST_INLINE F log1p_unit_f64(F e) {
  return log1p_unit_any<ExpLogF64>(e);
}

template <class F>
GENFAST_INLINE F log1p_f64(F x) {
  return log1p_any<ExpLogF64>(x);
}
// e^x - 1 for x <= 0.
template <class F>
GENFAST_INLINE F expm1_nonpositive_f64(F x) {
  return expm1_bounded<ExpLogF64>(select(x < F(-40.0), F(-40.0), x));
}

}  // namespace numerics
}  // namespace genfast
