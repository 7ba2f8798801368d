// Activation functions of neural networks over a float lane type F. Called by the map kernels and the Bernoulli head.
// Accurate to a few ulp, relative to the result and not to 1, also near 0 and in the tails; never calls the C library.
#pragma once
#include "numerics/exp_log.h"

namespace genfast {
namespace numerics {

template <class F>
GENFAST_INLINE F sigmoid(F x) {
  return F(1) / (F(1) + exp_f32(-x));
}

template <class F>
GENFAST_INLINE F silu(F x) {
  return x / (F(1) + exp_f32(-x));
}

template <class F>
GENFAST_INLINE F tanh(F x) {
  const F a = abs(x);
  const F e = expm1_bounded<ExpLogF32>(F(2) * select(a > F(10.0f), F(10.0f), a));
  return copysign(e / (e + F(2)), x);
}

// erfc(y) e^(y^2) for y >= 0: a polynomial in t = 1 / (1 + 0.4 y), fitted on y <= 9.5.
template <class F>
GENFAST_INLINE F erfc_scaled(F y) {
  const F t = F(1) / fma(y, F(0.4f), F(1));
  F q = F(-0x1.192c58p-5f);
  q = fma(q, t, F(0x1.c99a70p-3f));
  q = fma(q, t, F(-0x1.1daa68p-1f));
  q = fma(q, t, F(0x1.402a64p-1f));
  q = fma(q, t, F(-0x1.64a0aep-2f));
  q = fma(q, t, F(0x1.393272p-2f));
  q = fma(q, t, F(0x1.e41862p-4f));
  q = fma(q, t, F(0x1.bd1c48p-3f));
  q = fma(q, t, F(0x1.cc1dbcp-3f));
  q = fma(q, t, F(0x1.ce46fep-3f));
  return q * t;
}

// e^(-scale x^2) erfc_scaled(y), scale a power of two: erfc(y) for x = y. The rounding error of x^2 is put back, for the
// exponential would magnify it up to 88 times.
template <class F>
GENFAST_INLINE F erfc_from_square(F x, float scale, F y) {
  const F square = x * x;
  const F rest = fma(x, x, -square);
  const F e = exp_nonpositive_f32(F(-scale) * square);
  const F r = erfc_scaled(y);
  return select(e > F(0), r * fma(e, F(-scale) * rest, e), select(y == y, F(0), y));
}

template <class F>
GENFAST_INLINE F erf(F x) {
  const F a = abs(x), z = x * x;
  F q = F(0x1.4a5690p-14f);
  q = fma(q, z, F(-0x1.a45088p-11f));
  q = fma(q, z, F(0x1.541270p-8f));
  q = fma(q, z, F(-0x1.b7fabap-6f));
  q = fma(q, z, F(0x1.ce2d10p-4f));
  q = fma(q, z, F(-0x1.81273ep-2f));
  q = fma(q, z, F(0x1.06eba8p-3f));
  return select(a < F(1), fma(x, q, x), copysign(F(1) - erfc_from_square(a, 1.0f, a), x));
}

// x Phi(x), without the cancellation of 1 + erf(x / sqrt 2) in the left tail.
template <class F>
GENFAST_INLINE F gelu(F x) {
  const F tail = F(0.5f) * erfc_from_square(x, 0.5f, abs(x) * F(0x1.6a09e6p-1f));
  return x * select(x < F(0), tail, F(1) - tail);
}

// 0.5 x (1 + tanh(u)) = x / (1 + e^(-2u)) with u = sqrt(2 / pi) (x + 0.044715 x^3).
template <class F>
GENFAST_INLINE F gelu_tanh(F x) {
  const F inner = x * fma(x * x, F(0.044715f), F(1));
  return x / (F(1) + exp_f32(F(-1.5957691216057308f) * inner));
}

template <class F>
GENFAST_INLINE F elu(F x, F alpha, F scale, F input_scale) {
  return select(x > F(0), scale * x, (scale * alpha) * expm1_f32(input_scale * x));
}

template <class F>
GENFAST_INLINE F softplus(F x, F beta, F threshold) {
  const F v = x * beta;
  const F soft = max(v, F(0)) + log1p_unit_f32(exp_nonpositive_f32(-abs(v)));
  return select(v > threshold, x, soft / beta);
}

}  // namespace numerics
}  // namespace genfast
