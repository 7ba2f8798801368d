// Links: the functions that turn a network's outputs into parameters of a distribution, in double over a lane type F. Called by the
// kernels of heads. Formulas only; accurate to a few ulp, relative to the result.
#pragma once
#include "numerics/exp_log.h"

namespace genfast {
namespace numerics {

template <class F>
GENFAST_INLINE F sigmoid_f64(F x) {
  return F(1) / (F(1) + exp_f64(-x));
}

template <class F>
GENFAST_INLINE F tanh_f64(F x) {
  const F a = abs(x);
  const F e = expm1_bounded<ExpLogF64>(F(2) * select(a > F(20.0), F(20.0), a));
  return copysign(e / (e + F(2)), x);
}

// log(1 + e^x).
template <class F>
GENFAST_INLINE F softplus_f64(F x) {
  return max(x, F(0)) + log1p_unit_f64(exp_nonpositive_f64(-abs(x)));
}

// log(sigma(b) - sigma(a)) for -inf <= a < b <= inf from a, -b and log_width = log(1 - e^(a - b)), by the identity
// sigma(b) - sigma(a) = sigma(b) sigma(-a) (1 - e^(a - b)): no cancellation, no underflow.
template <class F>
GENFAST_INLINE F log_logistic_interval(F a, F minus_b, F log_width) {
  const F e = exp_nonpositive_f64(-abs(a)), f = exp_nonpositive_f64(-abs(minus_b));
  return log_width - ((max(a, F(0)) + max(minus_b, F(0))) + log1p_f64(fma(e, f, e + f)));
}

}  // namespace numerics
}  // namespace genfast
