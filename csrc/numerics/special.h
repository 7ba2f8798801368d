// What the incomplete gamma and beta functions and Student's t share: a polynomial, Loader's deviance, exp(x^2) erfc(x), and the
// test whether any lane needs work. Called by their headers only; raises nothing, loops over no data.
#pragma once
#include "numerics/exp_log.h"
#include "numerics/gamma_coefficients.h"

namespace genfast {
namespace numerics {

// Sum of c[i] x^i, even and odd powers apart: half the latency of one chain.
template <int n, class F>
GENFAST_INLINE F polynomial(const double (&c)[n], F x) {
  const F square = x * x;
  F high = F(c[n - 1]), low = F(c[n - 2]);
  for (int i = n - 3; i >= 1; i -= 2) {
    high = fma(high, square, F(c[i]));
    low = fma(low, square, F(c[i - 1]));
  }
  if (n % 2) return fma(low, x, fma(high, square, F(c[0])));
  return fma(high, x, low);
}

// mu - log(1 + mu) >= 0 without cancellation near mu = 0, with ratio = 1 + mu, which the caller may know better than mu.
template <class F>
GENFAST_CALL F log_defect(F mu, F ratio) {
  using C = ExpLogF64;
  const auto near = (ratio >= F(0.5)) & (ratio <= F(2));
  const auto tiny = ratio < F(C::min_normal);
  const F scaled = select(tiny, ratio * F(C::denormal_scale), ratio);
  const F shifted = bits_add(scaled, C::bits(C::one - C::sqrt_half));
  const F exponent = bits_or(bits_shr<C::mantissa>(shifted), C::to_float) - F(C::log_bias);
  const F k = select(near, F(0), exponent - select(tiny, F(C::denormal_shift), F(0)));
  const F m = bits_add(bits_and(shifted, C::fraction), C::sqrt_half);
  const F f = select(near, mu, m - F(1));
  const F s = f / (F(2) + f);
  const F half_square = F(0.5) * f * f;
  const F z = s * s;
  const F inner = fma(s, fma(z, polynomial(kLog1pTail, z), half_square), k * F(C::ln2_lo));
  const F core = half_square - inner;  // f - log(1 + f) when k = 0
  const F phi = select(near, core, mu - fma(k, F(C::ln2_hi), f - core));
  return select(ratio > F(0), select(ratio < F(C::infinity), phi, F(C::infinity)), F(C::infinity));
}

// a log(a / x) + x - a: Loader's bd0(a, x). a > 0, x >= 0.
template <class F>
GENFAST_INLINE F deviance(F a, F x) {
  return a * log_defect((x - a) / a, x / a);
}

// exp(x^2) erfc(x), x >= 0.
template <class F>
GENFAST_CALL F erfcx(F x) {
  const F y = polynomial(kErfcx, (x - F(3)) / (x + F(3)));
  return y / fma(x, F(2), F(1));
}

// The upper standard normal quantile to 2e-6: z >= 0 with P(Z > z) = p, from -log p, p <= 1/2. For starting values only.
template <class F>
GENFAST_INLINE F rough_normal_quantile(F minus_log_p) {
  const F t = sqrt(F(2) * minus_log_p);
  return t + polynomial(kNormalScore, F(1) / (t + F(3)));
}

}  // namespace numerics
}  // namespace genfast
