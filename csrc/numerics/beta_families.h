// Beta and F over a double lane type F. Called by the elementwise kernels; each struct has the five functions of FamilyFn with
// parameters in the order of the Python constructor. Parameters are valid, probabilities are in [0, 1]; x is anything, and
// NaN gives NaN.
#pragma once
#include "numerics/beta.h"

namespace genfast {
namespace numerics {

// lower: the x with I_x(a, b) = u, else with 1 - I_x(a, b) = u.
template <class F>
static GENFAST_HD BetaQuantile<F> beta_quantile(F a, F b, F u, bool lower) {
  const auto half = u <= F(0.5);
  const F t = tail_probability(select(half, u, F(1) - u));
  const auto end = t == F(0);
  const auto from_zero = select(half, F(lower), F(!lower)) > F(0);
  const BetaQuantile<F> q = beta_inverse(beta_shape(a, b), select(end, F(0.25), t), from_zero);
  return {select(end, select(from_zero, F(0), F(1)), q.x), select(end, select(from_zero, F(1), F(0)), q.y)};
}

// log D(x) + correction for densities that are D times something: log(factor) - deviance.
template <class F>
static GENFAST_HD F beta_log_slope(const BetaShape<F>& s, F x, F y, F offset) {
  const F dev = fma(s.a, log_defect(-offset / s.a, x * (s.n / s.a)), s.b * log_defect(offset / s.b, y * (s.n / s.b)));
  return log_f64(s.factor) - dev;
}

// p = a, b.
struct BetaFamily {
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return beta_quantile(p[0], p[1], u, true).x;
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return beta_quantile(p[0], p[1], q, false).x;
  }
  template <class F>
  static GENFAST_HD F probability(F x, const F* p, bool lower) {
    const auto inside = (x > F(0)) & (x < F(1));
    const F v = select(inside, x, F(0.5));
    const BetaShape<F> s = beta_shape(p[0], p[1]);
    const Tails<F> tails = beta_tails(s, v, F(1) - v, beta_offset(s, v, F(1) - v));
    return select(inside, lower ? tails.lower : tails.upper, select(x <= F(0), F(!lower), select(x >= F(1), F(lower), x)));
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return probability(x, p, true);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return probability(x, p, false);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F infinity = F(ExpLogF64::infinity);
    const auto inside = (x > F(0)) & (x < F(1));
    const F v = select(inside, x, F(0.5));
    const BetaShape<F> s = beta_shape(p[0], p[1]);
    const F value = beta_log_slope(s, v, F(1) - v, beta_offset(s, v, F(1) - v)) - log_f64(v) - log1p_f64(-v);
    const auto at_zero = x == F(0);
    const F near = select(at_zero, p[0], p[1]), far = select(at_zero, p[1], p[0]);
    const F edge = select(near < F(1), infinity, select(near == F(1), log_f64(far), -infinity));
    return select(inside, value, select(at_zero | (x == F(1)), edge, select(x == x, -infinity, x)));
  }
};

// p = dfn, dfd: x = (dfd / dfn) v / (1 - v) with v ~ Beta(dfn / 2, dfd / 2).
struct FFamily {
  template <class F>
  static GENFAST_HD F ratio(const BetaQuantile<F>& q, const F* p) {
    return (p[1] / p[0]) * (q.x / q.y);
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return ratio(beta_quantile(F(0.5) * p[0], F(0.5) * p[1], u, true), p);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return ratio(beta_quantile(F(0.5) * p[0], F(0.5) * p[1], q, false), p);
  }
  // v, 1 - v and a (1 - v) - b v for 0 < x < infinity, none of them by a difference.
  template <class F>
  struct Argument {
    F v, rest, offset;
  };
  template <class F>
  static GENFAST_HD Argument<F> argument(F x, const F* p) {
    const auto big = x > F(1);
    const F y = F(1) / x;
    // Divided by x where x is large, so that nothing overflows.
    const F top = select(big, p[0], p[0] * x), bottom = select(big, p[1] * y, p[1]);
    const F sum = top + bottom;
    const F gap = select(big, y - F(1), F(1) - x);
    return {top / sum, bottom / sum, F(0.5) * p[0] * (p[1] / sum) * gap};
  }
  template <class F>
  static GENFAST_HD F probability(F x, const F* p, bool lower) {
    const auto inside = (x > F(0)) & (x < F(ExpLogF64::infinity));
    const Argument<F> g = argument(select(inside, x, F(1)), p);
    const Tails<F> tails = beta_tails(beta_shape(F(0.5) * p[0], F(0.5) * p[1]), g.v, g.rest, g.offset);
    return select(inside, lower ? tails.lower : tails.upper, select(x <= F(0), F(!lower), select(x > F(0), F(lower), x)));
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return probability(x, p, true);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return probability(x, p, false);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F infinity = F(ExpLogF64::infinity);
    const auto inside = (x > F(0)) & (x < infinity);
    const Argument<F> g = argument(select(inside, x, F(1)), p);
    const F value = beta_log_slope(beta_shape(F(0.5) * p[0], F(0.5) * p[1]), g.v, g.rest, g.offset) - log_f64(x);
    const F at_zero = select(p[0] < F(2), infinity, select(p[0] == F(2), F(0), -infinity));
    return select(inside, value, select(x == F(0), at_zero, select(x == x, -infinity, x)));
  }
};

}  // namespace numerics
}  // namespace genfast
