// Mixtures: the weights that logits stand for, and logarithms of sums, over a lane type F in double. Called by the kernels of
// heads, whose lanes are elements, and by device code, where a lane is a double. `Array` holds F's by number: array[k],
// array.set(k, x).
#pragma once
#include "numerics/exp_log.h"

namespace genfast {
namespace numerics {

// Weights e^(z - largest z) of `count` logits, in place of them; returns their sum, NaN where there is no distribution.
template <class F, class Array>
GENFAST_INLINE F exponentiate(const Array& z, int64_t count, F& largest) {
  largest = F(-__builtin_inf());
  for (int64_t k = 0; k < count; ++k) largest = max(F(z[k]), largest);
  F total(0.0);
  for (int64_t k = 0; k < count; ++k) {
    const F w = exp_nonpositive_f64(F(z[k]) - largest);
    z.set(k, w);
    total = total + w;
  }
  return total;
}

// log of the sum of e^term(k).
template <class F, class Term>
GENFAST_INLINE F log_sum_exp(const Term& term, int64_t count) {
  F largest(-__builtin_inf()), total(0.0);
  for (int64_t k = 0; k < count; ++k) largest = max(F(term(k)), largest);
  // Where every term is -inf, or one is +inf, so is the result.
  const auto finite = abs(largest) < F(__builtin_inf());
  const F origin = select(finite, largest, F(0.0));
  for (int64_t k = 0; k < count; ++k) total = total + exp_nonpositive_f64(F(term(k)) - origin);
  return select(finite, largest + log_f64(total), largest);
}

}  // namespace numerics
}  // namespace genfast
