// Gamma, InverseGamma and Chi2 over a double lane type F. Called by the elementwise kernels; each struct has the five functions
// of FamilyFn with parameters in the order of the Python constructor. Parameters are valid, probabilities are in [0, 1]; x is
// anything, and NaN gives NaN.
#pragma once
#include "numerics/gamma.h"

namespace genfast {
namespace numerics {

// The standard gamma variable z of shape a: every function of the families below is one of these at a scaled argument.
template <class F>
struct StandardGamma {
  // lower: F^-1(u), else F^-1(1 - u), with no subtraction that loses digits.
  static GENFAST_HD F quantile(F a, F u, bool lower) {
    const auto half = u <= F(0.5);
    const F t = tail_probability(select(half, u, F(1) - u));
    const auto end = t == F(0);
    const auto from_zero = select(half, F(lower), F(!lower)) > F(0);
    const F z = gamma_inverse(gamma_shape(a), select(end, F(0.25), t), from_zero);
    return select(end, select(from_zero, F(0), F(ExpLogF64::infinity)), z);
  }
  static GENFAST_HD F probability(F a, F z, bool lower) {
    const auto inside = (z > F(0)) & (z < F(ExpLogF64::infinity));
    const Tails<F> tails = gamma_tails(gamma_shape(a), select(inside, z, a));
    const F value = lower ? tails.lower : tails.upper;
    return select(inside, value, select(z <= F(0), F(!lower), select(z > F(0), F(lower), z)));
  }
  // log(z f(z)) for 0 < z < infinity.
  static GENFAST_HD F log_slope(F a, F z) { return log_f64(gamma_shape(a).factor * a) - deviance(a, z); }
};

// p = shape, scale.
struct GammaFamily {
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return StandardGamma<F>::quantile(p[0], u, true) * p[1];
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return StandardGamma<F>::quantile(p[0], q, false) * p[1];
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return StandardGamma<F>::probability(p[0], x / p[1], true);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return StandardGamma<F>::probability(p[0], x / p[1], false);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F infinity = F(ExpLogF64::infinity), a = p[0];
    const auto inside = (x > F(0)) & (x < infinity);
    const F value = StandardGamma<F>::log_slope(a, select(inside, x / p[1], a)) - log_f64(x);
    const F at_zero = select(a < F(1), infinity, select(a == F(1), -log_f64(p[1]), -infinity));
    return select(inside, value, select(x == F(0), at_zero, select(x == x, -infinity, x)));
  }
};

// p = df: Gamma(df / 2, 2).
struct Chi2Family {
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return StandardGamma<F>::quantile(F(0.5) * p[0], u, true) * F(2);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return StandardGamma<F>::quantile(F(0.5) * p[0], q, false) * F(2);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return StandardGamma<F>::probability(F(0.5) * p[0], F(0.5) * x, true);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return StandardGamma<F>::probability(F(0.5) * p[0], F(0.5) * x, false);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F both[2] = {F(0.5) * p[0], F(2)};
    return GammaFamily::log_prob(x, both);
  }
};

// p = shape, scale: scale / z.
struct InverseGammaFamily {
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return p[1] / StandardGamma<F>::quantile(p[0], u, false);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return p[1] / StandardGamma<F>::quantile(p[0], q, true);
  }
  // x <= 0 is as improbable as z = infinity.
  template <class F>
  static GENFAST_HD F reciprocal(F x, const F* p) {
    return select(x > F(0), p[1] / x, select(x == x, F(ExpLogF64::infinity), x));
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return StandardGamma<F>::probability(p[0], reciprocal(x, p), false);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return StandardGamma<F>::probability(p[0], reciprocal(x, p), true);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const auto inside = (x > F(0)) & (x < F(ExpLogF64::infinity));
    const F value = StandardGamma<F>::log_slope(p[0], select(inside, p[1] / x, p[0])) - log_f64(x);
    return select(inside, value, select(x == x, F(-ExpLogF64::infinity), x));
  }
};

}  // namespace numerics
}  // namespace genfast
