// The incomplete gamma functions and their inverses over a double lane type F: what Gamma, Chi2, InverseGamma and Poisson are
// made of. Called by numerics/gamma_families.h and numerics/discrete.h; raises nothing, loops over no data.
//
// With D(a, x) = x^a e^-x / Gamma(a + 1), P = D (1 + x/(a+1) (1 + x/(a+2) (...))) (DLMF 8.7.1): the sum is cut where a + n >= 12
// and its rest is Temme's uniform expansion (Temme 1979; Gil, Segura & Temme 2012, eq. 2.12), one fitted polynomial in (eta, 1/a).
// The far right tail is Legendre's continued fraction (DLMF 8.9.2); Q for small a and x is Gautschi's form (1979) with
// positive terms. The factor D is in the deviance form of Loader (2000), "Fast and accurate computation of binomial probabilities".
#pragma once
#include "numerics/inverse.h"
#include "numerics/special.h"

namespace genfast {
namespace numerics {

// 1 / Gamma*(a), Gamma*(a) = Gamma(a) / (sqrt(2 pi / a) (a/e)^a), a > 0.
template <class F>
GENFAST_CALL F recip_gamma_star(F a) {
  const auto small = a < F(1);
  F r = polynomial(kRecipGammaStar, F(1) / select(small, F(1), a));
  if (any(small)) {
    const F b = select(small, a, F(1));
    const F scale = sqrt(F(0x1.921fb54442d18p+2) * b) * exp_f64(b * log_f64(b) - b);
    r = select(small, polynomial(kRecipGamma1p, b) * scale, r);
  }
  return r;
}

// What depends on the shape alone.
template <class F>
struct GammaShape {
  F a;
  F steps;   // terms of the series before the uniform expansion takes over
  F large;   // a + steps >= 12
  F mills;   // sqrt(pi large / 2) Gamma*(large)
  F factor;  // D(a, x) = factor exp(-deviance(a, x))
};

template <class F>
GENFAST_CALL GammaShape<F> gamma_shape(F a) {
  GammaShape<F> g;
  g.a = a;
  const F missing = -floor(a - F(12));
  g.steps = select(missing > F(0), missing, F(0));
  g.large = a + g.steps;
  g.mills = sqrt(F(0x1.921fb54442d18p+0) * g.large) * polynomial(kGammaStarLarge, F(1) / g.large);
  g.factor = recip_gamma_star(a) / sqrt(F(0x1.921fb54442d18p+2) * a);
  return g;
}

// Gamma*(a) sum C_k(eta) a^-k of Temme's expansion, a >= 12 and |eta| <= 1.3.
template <class F>
GENFAST_CALL F temme_sum(F eta, F s) {
  F r = polynomial(kTemme8, eta);
  r = fma(r, s, polynomial(kTemme7, eta));
  r = fma(r, s, polynomial(kTemme6, eta));
  r = fma(r, s, polynomial(kTemme5, eta));
  r = fma(r, s, polynomial(kTemme4, eta));
  r = fma(r, s, polynomial(kTemme3, eta));
  r = fma(r, s, polynomial(kTemme2, eta));
  r = fma(r, s, polynomial(kTemme1, eta));
  return fma(r, s, polynomial(kTemme0, eta));
}

// Legendre's continued fraction for Q / (D a), backwards from a depth that suffices for double precision at x >= 1.5.
template <class F>
GENFAST_CALL F gamma_fraction(F a, F x) {
  const F depth = floor(F(9) + F(105) / x);
  const F base = x + F(1) - a;
  int k = any(depth > F(40)) ? 80 : any(depth > F(20)) ? 40 : 20;
  F p = F(1), q = F(0);
  for (; k >= 1; --k) {
    const auto active = depth >= F(k);
    const auto first = depth < F(k + 1);  // the deepest level of this lane: v = b
    const F b = base + F(2 * k);
    const F p0 = select(first, b, p), q0 = select(first, F(1), q);
    const F next = fma(base + F(2 * k - 2), p0, -(F(k) * (F(k) - a)) * q0);
    p = select(active, next, p);
    q = select(active, p0, q);
  }
  return q / p;
}

// Q for a < 1/2, x < 1.5: 1 - x^a / Gamma(1+a) plus x^a e^-x / Gamma(a) sum t_n x^n / n!, where t_n = sum_k Pi_{k-1} / (a + k) and
// Pi_n = n! / ((a+1)...(a+n)): Gautschi's two parts with positive terms.
template <class F>
GENFAST_CALL F gamma_upper_small(F a, F x) {
  const F log_x = log_f64(x);
  const F e = fma(a, log_x, -a * polynomial(kLogGamma1p, a));
  const F power = expm1_bounded<ExpLogF64>(select(e < F(-40), F(-40), e));
  F product = F(1), t = F(0), term = F(1), sum = F(0);
  for (int n = 1; n <= 22; ++n) {
    const F d = F(1) / (a + F(n));
    t = fma(product, d, t);
    product = product * F(n) * d;
    term = term * x * F(1.0 / n);
    sum = fma(t, term, sum);
  }
  const F rest = (F(1) + power) * exp_f64(-x) * a * sum;
  return rest - power;
}

// P(a, x), Q(a, x), D(a, x) for 0 < x < infinity.
template <class F>
GENFAST_CALL Tails<F> gamma_tails(const GammaShape<F>& g, F x) {
  const F a = g.a;
  Tails<F> r;
  const F factor = g.factor * exp_f64(-deviance(a, x));  // D
  r.slope = factor * a;
  const F half_eta_square = log_defect((x - g.large) / g.large, x / g.large);
  const auto right = x > g.large;
  const auto shifted = g.steps > F(0);
  const F split = a + F(1) + sqrt(a);
  const F least = select(a < F(0.5), F(1.5), select(split > F(2), split, F(2)));
  const auto far = half_eta_square > F(0.84);
  const auto fraction = (shifted & (x > least)) | (right & far);
  const auto series = (x <= g.large) & far;
  // The uniform expansion, or 1 for lanes whose series simply goes on.
  const F eta_size = sqrt(F(2) * select(far, F(0.5), half_eta_square));
  const F eta = select(right, eta_size, -eta_size);
  const F z = eta_size * sqrt(F(0.5) * g.large);
  const F mills = g.mills * erfcx(z);
  const F rest = temme_sum(eta, F(1) / g.large);
  const F start = select(series, F(1), select(right, -(mills + rest), mills - rest));
  const F n = g.steps + select(series, F(26), F(0));
  F den = F(1), num = start;
  if (any(n > F(0))) {
    for (int k = any(n > F(26)) ? 40 : any(n > F(13)) ? 26 : 13; k >= 1; --k) {
      const auto active = n >= F(k);
      const F next = den * (a + F(k));
      num = select(active, fma(x, num, next), num);
      den = select(active, next, den);
    }
  }
  const F sum = factor * (num / den);
  r.lower = select(right, F(1) + sum, sum);
  r.upper = select(right, -sum, F(1) - sum);
  if (any(fraction)) {
    const F upper = r.slope * gamma_fraction(a, select(fraction, select(x < F(1e30), x, F(1e30)), F(100)));
    r.upper = select(fraction, upper, r.upper);
    r.lower = select(fraction, F(1) - upper, r.lower);
  }
  const auto small = (a < F(0.5)) & (x <= F(1.5));
  if (any(small)) {
    const F upper = gamma_upper_small(select(small, a, F(0.25)), select(small, x, F(1)));
    r.upper = select(small & (upper < F(0.25)), upper, r.upper);
    r.lower = select(small & (upper < F(0.25)), F(1) - upper, r.lower);
  }
  // Where D underflows, so does the tail, and the sums above may have overflowed.
  const auto gone = factor == F(0);
  const auto beyond = x > a;
  r.lower = select(gone, select(beyond, F(1), F(0)), r.lower);
  r.upper = select(gone, select(beyond, F(0), F(1)), r.upper);
  return r;
}

// A starting value for the quantile: in the bulk x = a lambda(eta) with eta = z / sqrt(a) and a fitted correction (the form of
// Temme 1992), outside of it the leading terms of the two tails (DiDonato & Morris 1986).
template <class F, class M>
GENFAST_CALL F gamma_start(const GammaShape<F>& g, F t, M lower, F* log_leading) {
  const F a = g.a;
  const F log_t = log_f64(t);
  const F z = rough_normal_quantile(-log_t);
  const F s = F(1) / a;
  const F eta = select(lower, -z, z) * sqrt(s);
  const F low = F(-2.2), high = F(3.2);
  const F e = select(eta < low, low, select(eta > high, high, eta));
  const F c = select(s < F(1.59), s, F(1.59));
  F b = polynomial(kLogLambdaShift5, e);
  b = fma(b, c, polynomial(kLogLambdaShift4, e));
  b = fma(b, c, polynomial(kLogLambdaShift3, e));
  b = fma(b, c, polynomial(kLogLambdaShift2, e));
  b = fma(b, c, polynomial(kLogLambdaShift1, e));
  b = fma(b, c, polynomial(kLogLambdaShift0, e));
  F x = a * exp_f64(fma(e, polynomial(kLogLambda, e), c * b));
  *log_leading = F(0);
  const auto outside = (eta < low) | (eta > high) | (s > F(1.59));
  if (any(outside)) {
    const F log_a = log_f64(a);
    const F log_gamma =
        select(a < F(0.5), a * polynomial(kLogGamma1p, select(a < F(0.5), a, F(0.5))), fma(a, log_a, -a) - log_f64(g.factor));
    const F log_lower = select(lower, log_t, log_f64(F(1) - t));
    const F leading = (log_lower + log_gamma) * s;
    const F w = exp_f64(leading);
    const F a1 = a + F(1);
    const F left = w * (F(1) + w / a1 * (F(1) + w * fma(a, F(3), F(5)) / (F(2) * a1 * (a + F(2)))));
    // e^-x x^(a-1) (1 + (a - 1) / x) = t Gamma(a), two rounds.
    const F tail = log_a - log_gamma - log_t;
    F right = select(tail > F(1), tail, F(1));
    right = select(s > F(1.59), right, select(x > right, x, right));
    right = tail + (a - F(1)) * (log_f64(right) + F(1) / (right + F(1)));
    right = select(right > F(0.5), right, F(0.5));
    right = tail + (a - F(1)) * (log_f64(right) + F(1) / (right + F(1)));
    right = select(right > F(0.3), right, F(0.3));
    const auto use_left = (eta < low) | ((s > F(1.59)) & (w < F(0.4) * a1));
    x = select(outside, select(use_left, left, right), x);
    *log_leading = select(outside & use_left, leading, F(0));
  }
  return x;
}

// The gamma distribution as invert_in_cells sees it.
template <class F>
struct GammaProblem {
  GammaShape<F> g;
  F scale;
  GENFAST_HD Tails<F> tails(F x) const { return gamma_tails(g, x); }
  GENFAST_HD LocalShape<F> local(F x) const { return {F(1), F(0), x - (g.a - F(1)), x}; }
  GENFAST_HD F unit(F x) const { return x; }
  GENFAST_HD F cell(F x) const { return relative_cell(x, scale, F(1), g.a); }
  GENFAST_HD F advance(F x, F step) const { return x * exp_f64(select(step > F(2), F(2), select(step < F(-2), F(-2), step))); }
  GENFAST_HD F drift(const LocalShape<F>& s, F) const { return F(1) - s.beta; }
};

// x with P(a, x) = t where lower, else with Q(a, x) = t, 0 < t <= 1/2.
template <class F, class M>
GENFAST_CALL F gamma_inverse(const GammaShape<F>& g, F t, M lower) {
  F leading;
  const F x = gamma_start(g, t, lower, &leading);
  const auto tiny = leading < F(-230);  // the next term is far below the rounding error
  const F root = sqrt(g.a);
  const GammaProblem<F> problem = {g, select(root > F(1), root, F(1))};
  return invert_in_cells(problem, t, lower, select(tiny, F(1e-90), x), select(tiny, exp_f64(leading), F(-1)));
}

}  // namespace numerics
}  // namespace genfast
