// One logit, or one probability, of level 1 a row (numerics/bernoulli.h). Included once per target by all-inl.h.
#include "numerics/bernoulli.h"

namespace genfast {
namespace GENFAST_NS {
namespace {

int64_t bernoulli(int32_t* level, const float* logits, int64_t stride, bool probs, const double* u, float temperature,
                  int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) {
    const float x = logits[r * stride];
    if (!probs) {
      const float z = x / temperature;
      if (numerics::bad_logit(z)) return r;
      level[r] = numerics::draw_bernoulli(u[r], numerics::zero_probability(z));
    } else {
      if (numerics::bad_probability(x)) return r;
      level[r] = numerics::draw_bernoulli(u[r], numerics::zero_of_probability(x, temperature));
    }
  }
  return -1;
}

int64_t bernoulli_interval(double* lower, double* upper, const float* logits, int64_t stride, bool probs, const int32_t* level,
                           float temperature, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) {
    const float x = logits[r * stride];
    if (probs ? numerics::bad_probability(x) : numerics::bad_logit(x / temperature)) return r;
    const double zero = probs ? numerics::zero_of_probability(x, temperature) : numerics::zero_probability(x / temperature);
    lower[r] = level[r] ? zero : 0.0;
    upper[r] = level[r] ? 1.0 : zero;
  }
  return -1;
}

int64_t bernoulli_log_prob(double* log_prob, const float* logits, int64_t stride, bool probs, const int32_t* level,
                           float temperature, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) {
    const float x = logits[r * stride];
    const float z = x / temperature;
    if (probs ? numerics::bad_probability(x) : numerics::bad_logit(z)) return r;
    log_prob[r] +=
        probs ? numerics::log_of_probability(x, temperature, level[r]) : numerics::log_of_logit(static_cast<double>(z), level[r]);
  }
  return -1;
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
