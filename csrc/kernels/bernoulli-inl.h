// One logit, or one probability, of level 1 a row. A level of probability 0 is never drawn, not even at u = 0 or u = 1.
// Included once per target by all-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

// z = logit / temperature in f32, or the tempered logit of a probability in f64; `bad` where the row is no distribution.
GENFAST_INLINE bool bad_logit(float z) { return !(z < __builtin_inff()); }
GENFAST_INLINE bool bad_probability(float p) { return !(p >= 0.0f && p <= 1.0f); }

GENFAST_INLINE double tempered_logit(float p, float temperature) {
  const double q = static_cast<double>(p);
  return (numerics::log_f64(q) - numerics::log_f64(1.0 - q)) / static_cast<double>(temperature);
}

// P(level 0) from the logit of level 1, accurate relative to the smaller of the two probabilities.
GENFAST_INLINE double zero_probability(float z) {
  const double small = static_cast<double>(numerics::sigmoid(-numerics::abs(z)));
  return z >= 0.0f ? small : 1.0 - small;
}
GENFAST_INLINE double zero_probability(double z) {
  const double e = numerics::exp_nonpositive_f64(-numerics::abs(z));
  return z >= 0.0 ? e / (1.0 + e) : 1.0 / (1.0 + e);
}

GENFAST_INLINE double zero_of_probability(float p, float temperature) {
  return temperature == 1.0f ? 1.0 - static_cast<double>(p) : zero_probability(tempered_logit(p, temperature));
}

// log P(level) = -log(1 + e^-s), with s the logit of that level.
GENFAST_INLINE double log_sigmoid(double s) {
  return -(numerics::max(-s, 0.0) + numerics::log1p_unit_f64(numerics::exp_nonpositive_f64(-numerics::abs(s))));
}

GENFAST_INLINE int32_t draw(double u, double zero) { return zero > 0.0 && u <= zero ? 0 : zero < 1.0 ? 1 : 0; }

int64_t bernoulli(int32_t* level, const float* logits, int64_t stride, bool probs, const double* u, float temperature,
                  int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) {
    const float x = logits[r * stride];
    if (!probs) {
      const float z = x / temperature;
      if (bad_logit(z)) return r;
      level[r] = draw(u[r], zero_probability(z));
    } else {
      if (bad_probability(x)) return r;
      level[r] = draw(u[r], zero_of_probability(x, temperature));
    }
  }
  return -1;
}

int64_t bernoulli_interval(double* lower, double* upper, const float* logits, int64_t stride, bool probs, const int32_t* level,
                           float temperature, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) {
    const float x = logits[r * stride];
    if (probs ? bad_probability(x) : bad_logit(x / temperature)) return r;
    const double zero = probs ? zero_of_probability(x, temperature) : zero_probability(x / temperature);
    lower[r] = level[r] ? zero : 0.0;
    upper[r] = level[r] ? 1.0 : zero;
  }
  return -1;
}

int64_t bernoulli_log_prob(double* log_prob, const float* logits, int64_t stride, bool probs, const int32_t* level,
                           float temperature, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) {
    const float x = logits[r * stride];
    double z;
    if (!probs) {
      const float scaled = x / temperature;
      if (bad_logit(scaled)) return r;
      z = static_cast<double>(scaled);
    } else {
      if (bad_probability(x)) return r;
      const double p = static_cast<double>(x);
      if (temperature == 1.0f) {
        log_prob[r] += numerics::log_f64(level[r] ? p : 1.0 - p);
        continue;
      }
      z = tempered_logit(x, temperature);
    }
    log_prob[r] += log_sigmoid(level[r] ? z : -z);
  }
  return -1;
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
