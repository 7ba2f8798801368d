// The regularised incomplete beta function and its inverse over a double lane type F: what Beta, F, Binomial and NegativeBinomial
// are made of. Called by numerics/beta_families.h and numerics/discrete.h; raises nothing, loops over no data.
//
// With D = x^a y^b / B(a, b) in the deviance form of Loader (2000): I_x(a, b) is the even part of the continued fraction of DLMF
// 8.17.22 on the side of the mean where it converges fast (Didonato & Morris 1992, "Algorithm 708", use the same one), and where
// m = a b / (a + b) is large, close to the mean, the uniform expansion in erfc (Temme 1982, by repeated partial integration).
#pragma once
#include "numerics/beta_coefficients.h"
#include "numerics/gamma.h"

namespace genfast {
namespace numerics {

// What depends on the two shapes alone.
template <class F>
struct BetaShape {
  F a, b, n, n_low;  // n + n_low = a + b exactly
  F factor;          // D = factor exp(-deviance)
  F stars;           // Gamma*(a) Gamma*(b) / Gamma*(a + b)
  F m;
};

template <class F>
GENFAST_CALL BetaShape<F> beta_shape(F a, F b) {
  BetaShape<F> s;
  s.a = a;
  s.b = b;
  s.n = a + b;
  const F part = s.n - a;
  s.n_low = (a - (s.n - part)) + (b - part);
  const F recip_stars = recip_gamma_star(a) * recip_gamma_star(b) / recip_gamma_star(s.n);
  s.stars = F(1) / recip_stars;
  const F least = select(a < b, a, b), most = select(a < b, b, a);
  s.m = least * (most / s.n);
  s.factor = sqrt(s.m * F(0x1.45f306dc9c883p-3)) * recip_stars;
  return s;
}

// The same with a and b exchanged where flip.
template <class F, class M>
GENFAST_INLINE BetaShape<F> exchanged(BetaShape<F> s, M flip) {
  const F a = s.a;
  s.a = select(flip, s.b, a);
  s.b = select(flip, a, s.b);
  return s;
}

// a y - b x, without the cancellation of a - (a + b) x, when x <= 1/2 is exact or y = 1 - x is.
template <class F>
static GENFAST_HD F beta_offset(const BetaShape<F>& s, F x, F y) {
  const auto low = x <= F(0.5);
  const F v = select(low, x, y), c = select(low, s.a, s.b);
  const F product = s.n * v;
  const F rest = fma(s.n, v, -product) + s.n_low * v;
  const F offset = (c - product) - rest;
  return select(low, offset, -offset);
}

// sum of d^(..) c_j(v) w^j of one K_k, see beta_coefficients.h.
template <int level, int rows, int size, class F>
static GENFAST_HD F beta_sum_level(const double (&c)[size], F v, F d, F w) {
  F r = F(0);
  int end = size;
  for (int j = rows - 1; j >= 0; --j) {
    const int length = (j + 1 + 2 * level) / 2 + 1;
    F p = F(c[end - 1]);
    for (int i = 2; i <= length; ++i) p = fma(p, v, F(c[end - i]));
    end -= length;
    r = fma(r, w, j % 2 ? p : p * d);
  }
  return r;
}

// sum of K_k(w) / m^k. With T T' = w (1 + d T - v T^2), T = w + ..., J_0 = w / T, the K_k are (J_k - J_k(0)) / w, J_{k+1} = K_k'.
template <class F>
GENFAST_CALL F beta_sum(F v, F d, F w, F recip_m) {
  F r = beta_sum_level<5, 1>(kBetaSum5, v, d, w);
  r = fma(r, recip_m, beta_sum_level<4, 6>(kBetaSum4, v, d, w));
  r = fma(r, recip_m, beta_sum_level<3, 9>(kBetaSum3, v, d, w));
  r = fma(r, recip_m, beta_sum_level<2, 11>(kBetaSum2, v, d, w));
  r = fma(r, recip_m, beta_sum_level<1, 13>(kBetaSum1, v, d, w));
  return fma(r, recip_m, beta_sum_level<0, 17>(kBetaSum0, v, d, w));
}

// I_x(a, b) / D by the fraction, for x <= (a + 1) / (a + b + 2); offset = a y - b x. Backwards from a depth that suffices there.
template <class F>
GENFAST_CALL F beta_fraction(F a, F b, F x, F y, F offset) {
  const F by_a = F(10) + sqrt(a) * (F(1.85) + F(4.6) / (F(1) + b));
  const F by_b = F(13) + F(2.8) * sqrt(b) + F(100) / fma(b, F(1.4), F(1));
  const F least = select(by_a < by_b, by_a, by_b);
  const F depth = floor(select(least < F(120), least, F(120)));
  int m = 120;
  while (m > 12 && !any(depth > F(m - 12))) m -= 12;
  while (m > 2 && !any(depth > F(m - 2))) m -= 2;
  // v = scale p / q, scale a bound of the partial denominators, so that p and q stay in range without divisions in the chain.
  const F recip_scale = F(1) / (depth + F(1) + abs(offset));
  F p = F(1), q = F(1);
  F inverse = F(1) / (a + F(2 * m + 1));
  for (; m >= 0; --m) {
    const F k = F(m);
    const F ak = a + k;
    const F left = ak * inverse;
    const F alpha = left * recip_scale * ((a + b + k) * inverse * x) * (F(m + 1) * recip_scale * ((b - F(m + 1)) * x));
    F beta = fma(left, offset + fma(k, F(1) + y, F(1)), k);
    if (m > 0) {
      inverse = F(1) / (a + F(2 * m - 1));
      beta = fma(k * (b - k) * x, inverse, beta);
    }
    beta = beta * recip_scale;
    const auto deepest = depth < F(m + 1);
    const F next = select(deepest, beta, fma(beta, p, alpha * q));
    q = select(deepest, F(1), p);
    p = next;
  }
  return q * recip_scale / p;
}

// I_x(a, b), 1 - I_x(a, b) and x y f(x) = D, for x, y = 1 - x > 0 and offset = a y - b x.
template <class F>
GENFAST_CALL Tails<F> beta_tails(const BetaShape<F>& s, F x, F y, F offset) {
  const F dev = fma(s.a, log_defect(-offset / s.a, x * (s.n / s.a)), s.b * log_defect(offset / s.b, y * (s.n / s.b)));
  Tails<F> r;
  r.slope = s.factor * exp_f64(-dev);
  const auto left = offset > F(0);
  const auto expansion = (s.m > F(300)) & (dev < F(0.08) * s.m);
  const auto fraction = select(expansion, F(0), F(1)) > F(0);
  r.lower = r.upper = F(0);
  if (any(fraction)) {
    const auto direct = x * (s.n + F(2)) <= s.a + F(1);
    const F a = select(direct, s.a, s.b), b = select(direct, s.b, s.a);
    const F u = select(direct, x, y), v = select(direct, y, x);
    const F part =
        r.slope * beta_fraction(select(expansion, F(1), a), select(expansion, F(1), b), select(expansion, F(0.25), u),
                                select(expansion, F(0.75), v), select(expansion, F(0.5), select(direct, offset, -offset)));
    const F rest = F(1) - part;
    r.lower = select(direct, part, rest);
    r.upper = select(direct, rest, part);
  }
  if (any(expansion)) {
    const F m = select(expansion, s.m, F(1000)), deviation = select(expansion, dev, F(0));
    const F size = sqrt(F(2) * deviation / m);
    const F w = select(left, -size, size);
    const F p = s.a / s.n, q = s.b / s.n;
    const F recip_m = F(1) / m;
    const F mills = sqrt(F(0x1.921fb54442d18p+0) * recip_m) * s.stars * erfcx(sqrt(deviation));
    const F sum = beta_sum(p * q, q - p, w, recip_m) * recip_m;
    const F part = r.slope * select(left, mills - sum, mills + sum);
    const F rest = F(1) - part;
    r.lower = select(expansion, select(left, part, rest), r.lower);
    r.upper = select(expansion, select(left, rest, part), r.upper);
  }
  // Where D underflows, so does the tail.
  const auto gone = r.slope == F(0);
  r.lower = select(gone, select(left, F(0), F(1)), r.lower);
  r.upper = select(gone, select(left, F(1), F(0)), r.upper);
  return r;
}

// The beta distribution as invert_in_cells sees it, in the variable x <= about 1/2.
template <class F>
struct BetaProblem {
  BetaShape<F> s;
  F scale;
  GENFAST_HD Tails<F> tails(F x) const {
    Tails<F> r = beta_tails(s, x, F(1) - x, beta_offset(s, x, F(1) - x));
    r.slope = r.slope / (F(1) - x);
    return r;
  }
  GENFAST_HD LocalShape<F> local(F x) const {
    const F rho = x / (F(1) - x);
    return {F(1) - rho, -rho, fma(s.b - F(1), rho, F(1) - s.a), rho * (s.n - F(2))};
  }
  GENFAST_HD F unit(F x) const { return x; }
  GENFAST_HD F cell(F x) const { return relative_cell(x, scale, s.n, s.a); }
  GENFAST_HD F advance(F x, F step) const {
    const F next = x * exp_f64(select(step > F(2), F(2), select(step < F(-2), F(-2), step)));
    const F most = F(0.5) * (x + F(1));
    return select(next < most, next, most);
  }
  GENFAST_HD F drift(const LocalShape<F>& shape, F) const { return F(1) - shape.beta; }
};

template <class F>
struct BetaQuantile {
  F x, y;  // x + y = 1; the smaller one has full relative accuracy
};

// x with I_x(a, b) = t where lower, else with 1 - I_x(a, b) = t, 0 < t <= 1/2. Starting values: Abramowitz & Stegun 26.5.22 in the
// bulk, the leading term of a power tail where that is a good one, and the split of Press et al. (2007), 6.14.21, for small shapes.
template <class F, class M>
GENFAST_CALL BetaQuantile<F> beta_inverse(const BetaShape<F>& s, F t, M lower) {
  const F a = s.a, b = s.b, one = F(1);
  const F p = a / s.n, q = b / s.n;
  // 26.5.22: x = a / (a + b e^(2 w)).
  const F log_t = log_f64(t);
  const F z = rough_normal_quantile(-log_t);
  const F y_p = select(lower, z, -z);
  const F ra = one / (F(2) * select(a > F(0.75), a, F(0.75)) - one), rb = one / (F(2) * select(b > F(0.75), b, F(0.75)) - one);
  const F h = F(2) / (ra + rb);
  const F curve = (z * z - F(3)) * F(1.0 / 6);
  const F inside = h + curve;
  const F w =
      y_p * sqrt(select(inside > F(0.1) * h, inside, F(0.1) * h)) / h - (rb - ra) * (curve + F(5.0 / 6) - F(2) / (F(3) * h));
  const F odds = exp_f64(select(w < F(-300), F(-600), select(w > F(300), F(600), F(2) * w))) * (b / a);  // y / x
  F x = one / (one + odds), y = odds * x;
  const auto small = (a < F(0.9)) | (b < F(0.9));
  const auto wide = (z > F(4)) | small | (inside < F(0.5) * h);
  F lead_x = F(0), lead_y = F(0), by_power = F(0);
  if (any(wide)) {
    const F log_rest = log_f64(F(1) - t);
    const F log_low = select(lower, log_t, log_rest), log_high = select(lower, log_rest, log_t);
    const F log_p = select(p > q, log1p_f64(-q), log_f64(p)), log_q = select(p > q, log_f64(q), log1p_f64(-p));
    if (any(small)) {
      const F share_x = exp_f64(a * log_p) / a, share_y = exp_f64(b * log_q) / b;
      const F total = share_x + share_y;
      const F low = exp_f64(log_low) * total, high = exp_f64(log_high) * total;
      const auto to_x = low < share_x;
      const F x0 = exp_f64(log_f64(a * low) / a), y0 = exp_f64(log_f64(b * high) / b);
      x = select(small, select(to_x, x0, one - y0), x);
      y = select(small, select(to_x, one - x0, y0), y);
    }
    // The leading power of either tail with one correction.
    const F log_beta = fma(a, log_p, b * log_q) - log_f64(s.factor);
    lead_x = (log_low + log_beta + log_f64(a)) / a;
    lead_y = (log_high + log_beta + log_f64(b)) / b;
    const F x0 = exp_f64(select(lead_x < F(0), lead_x, F(0))), y0 = exp_f64(select(lead_y < F(0), lead_y, F(0)));
    const F bend_x = x0 * (b - F(1)) / (a + F(1)), bend_y = y0 * (a - F(1)) / (b + F(1));
    const auto by_x = wide & (lead_x < F(-0.7)) & (abs(bend_x) * sqrt(a + one) < F(0.25));
    const auto by_y = wide & (lead_y < F(-0.7)) & (abs(bend_y) * sqrt(b + one) < F(0.25));
    const F x1 = x0 * (one + bend_x), y1 = y0 * (one + bend_y);
    x = select(by_x, x1, select(by_y, one - y1, x));
    y = select(by_x, one - x1, select(by_y, y1, y));
    lead_x = select(wide, lead_x, F(0));
    lead_y = select(wide, lead_y, F(0));
    by_power = select(by_x | by_y, one, F(0));
  }
  // Which half: decided by I_1/2 itself where the starting value does not make it certain.
  auto flip = x > F(0.5);
  const F spread = sqrt(p * q / (s.n + one));
  const F gap = abs(x - F(0.5));
  const F trusted = select(by_power > F(0), F(0.1), select(wide, one, fma(spread, F(0.3), F(0.01))));
  const auto unsure = gap < trusted;
  if (any(unsure)) {
    const Tails<F> middle = beta_tails(s, F(0.5), F(0.5), F(0.5) * (a - b));
    const F excess = select(lower, t - middle.lower, middle.upper - t);
    flip = select(unsure, excess, select(flip, one, -one)) > F(0);
  }
  const BetaShape<F> own = exchanged(s, flip);
  const auto own_lower = select(flip, select(lower, -one, one), select(lower, one, -one)) > F(0);
  F start = select(flip, y, x);
  start = select(start > F(1e-290), select(start < F(0.5), start, F(0.5)), F(1e-290));
  const F leading = select(flip, lead_y, lead_x);
  const auto tiny = (leading < F(-230)) & (own.a < F(16));
  const F root = sqrt(own.a * (own.n / own.b));
  const BetaProblem<F> problem = {own, select(root > one, root, one)};
  F v = invert_in_cells(problem, t, own_lower, start, select(tiny, exp_f64(leading), F(-1)));
  v = select(unsure & (v > F(0.5)), F(0.5), v);
  return {select(flip, one - v, v), select(flip, v, one - v)};
}

}  // namespace numerics
}  // namespace genfast
