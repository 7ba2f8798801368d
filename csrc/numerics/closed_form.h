// Continuous families whose quantile is a closed form of elementary functions, over a double lane type F. Called by the elementwise
// kernels; each struct has the five functions of FamilyFn with parameters in the order of the Python constructor. Parameters
// are valid and probabilities in [0, 1]; x is anything, and NaN gives NaN.
#pragma once
#include "numerics/exp_log.h"
#include "numerics/normal.h"

namespace genfast {
namespace numerics {

constexpr double kInfinity = __builtin_inf();

// value where x is inside [low, high], `outside` elsewhere, NaN for NaN.
template <class F>
GENFAST_INLINE F inside(F x, F low, F high, F value, F outside) {
  return select(x < low, outside, select(x > high, outside, select(x == x, value, x)));
}

// p = low, high.
struct UniformFamily {
  template <class F>
  static F icdf(F u, const F* p) {
    const F x = fma(u, p[1] - p[0], p[0]);
    return select(x > p[1], p[1], x);
  }
  template <class F>
  static F iccdf(F q, const F* p) {
    const F x = fma(q, p[0] - p[1], p[1]);
    return select(x < p[0], p[0], x);
  }
  template <class F>
  static F cdf(F x, const F* p) {
    return select(x <= p[0], F(0), select(x >= p[1], F(1), (x - p[0]) / (p[1] - p[0])));
  }
  template <class F>
  static F ccdf(F x, const F* p) {
    return select(x <= p[0], F(1), select(x >= p[1], F(0), (p[1] - x) / (p[1] - p[0])));
  }
  template <class F>
  static F log_prob(F x, const F* p) {
    return inside(x, p[0], p[1], -log_f64(p[1] - p[0]), F(-kInfinity));
  }
};

// p = scale.
struct ExponentialFamily {
  template <class F>
  static F icdf(F u, const F* p) {
    return p[0] * -log1p_f64(-u);
  }
  template <class F>
  static F iccdf(F q, const F* p) {
    return p[0] * -log_f64(q);
  }
  template <class F>
  static F cdf(F x, const F* p) {
    return select(x <= F(0), F(0), -expm1_nonpositive_f64(-x / p[0]));
  }
  template <class F>
  static F ccdf(F x, const F* p) {
    return select(x <= F(0), F(1), exp_nonpositive_f64(-x / p[0]));
  }
  template <class F>
  static F log_prob(F x, const F* p) {
    return select(x < F(0), F(-kInfinity), -x / p[0] - log_f64(p[0]));
  }
};

}  // namespace numerics
}  // namespace genfast
