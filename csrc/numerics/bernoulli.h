// Two levels from one logit, or from one probability, of level 1. Called by the kernels of heads and by device code. Formulas only.
// A level of probability 0 is never drawn, not even at u = 0 or u = 1.
#pragma once
#include "numerics/activations.h"

namespace genfast {
namespace numerics {

// z = logit / temperature in f32, or the tempered logit of a probability in f64; `bad` where the row is no distribution.
GENFAST_INLINE bool bad_logit(float z) { return !(z < __builtin_inff()); }
GENFAST_INLINE bool bad_probability(float p) { return !(p >= 0.0f && p <= 1.0f); }

GENFAST_INLINE double tempered_logit(float p, float temperature) {
  const double q = static_cast<double>(p);
  return (log_f64(q) - log_f64(1.0 - q)) / static_cast<double>(temperature);
}

// P(level 0) from the logit of level 1, accurate relative to the smaller of the two probabilities.
GENFAST_INLINE double zero_probability(float z) {
  const double small = static_cast<double>(sigmoid(-abs(z)));
  return z >= 0.0f ? small : 1.0 - small;
}
GENFAST_INLINE double zero_probability(double z) {
  const double e = exp_nonpositive_f64(-abs(z));
  return z >= 0.0 ? e / (1.0 + e) : 1.0 / (1.0 + e);
}

GENFAST_INLINE double zero_of_probability(float p, float temperature) {
  return temperature == 1.0f ? 1.0 - static_cast<double>(p) : zero_probability(tempered_logit(p, temperature));
}

// log P(level) = -log(1 + e^-s), with s the logit of that level.
GENFAST_INLINE double log_sigmoid(double s) { return -(max(-s, 0.0) + log1p_unit_f64(exp_nonpositive_f64(-abs(s)))); }

GENFAST_INLINE int32_t draw_bernoulli(double u, double zero) { return zero > 0.0 && u <= zero ? 0 : zero < 1.0 ? 1 : 0; }

GENFAST_INLINE double log_of_logit(double z, int32_t level) { return log_sigmoid(level ? z : -z); }
GENFAST_INLINE double log_of_probability(float p, float temperature, int32_t level) {
  if (temperature != 1.0f) return log_of_logit(tempered_logit(p, temperature), level);
  const double q = static_cast<double>(p);
  return log_f64(level ? q : 1.0 - q);
}

}  // namespace numerics
}  // namespace genfast
