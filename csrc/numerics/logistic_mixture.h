// The discretised mixture of logistics (Salimans et al., "PixelCNN++", 2017): the channels of a position one after another, each a
// chain of exact conditionals by Bayes' rule. All in double over a lane type F. Every step of F is a correctly rounded monotone
// operation of the level, so bisection finds the smallest level with F >= u whatever it asks on the way. Called by the kernels of
// heads and by device code, which say in a Row what is read and written.
#pragma once
#include "numerics/links.h"
#include "numerics/mixtures.h"

namespace genfast {
namespace numerics {

// Level k stands for low + k * step.
struct LogisticLevels {
  int64_t channels, components;
  bool coupled;
  double low, step;
  int64_t levels;
};

// One position, of as many elements as F has lanes. Row:
//   F; Array (mixtures.h)         lanes, and memory for one of them a component
//   read(Array, channel, count)   outputs of the network, from `channel` on
//   draws(c), uniform(c), set_level(c, level), level(c)
//   bounds(c), set_bounds(c, lower, upper); scores(c), set_log_prob(c, log_prob)
//   all(mask)                     whether every lane is set
template <class Row>
class LogisticMixture {
 public:
  using F = typename Row::F;
  using Array = typename Row::Array;

  // weight: of the components, given the channels so far; of sum 1. The other arrays are for what is worked out on the way.
  GENFAST_HD LogisticMixture(const Row& row, const LogisticLevels& levels, Array weight, Array mean, Array inverse_scale,
                             Array work, Array log_weight)
      : row_(row), a_(levels), weight_(weight), mean_(mean), inverse_scale_(inverse_scale), work_(work), log_weight_(log_weight) {}

  // NaN in a lane without a distribution.
  GENFAST_HD F run() {
    row_.read(weight_, 0, a_.components);
    start_weights();
    for (int64_t c = 0; c < a_.channels; ++c) {
      read_channel(c);
      if (row_.draws(c)) row_.set_level(c, draw(row_.uniform(c)));
      const F level = row_.level(c);
      if (row_.bounds(c)) row_.set_bounds(c, bound(level - F(1.0)), bound(level));
      if (row_.scores(c) || c + 1 < a_.channels) {
        const F log_prob = update(level);
        if (row_.scores(c)) row_.set_log_prob(c, log_prob);
      }
      if (c < 2) x_[c] = fma(level, F(a_.step), F(a_.low));
    }
    return check_;
  }

 private:
  GENFAST_HD F last() const { return F(static_cast<double>(a_.levels - 1)); }

  // Logits to the weights of the components.
  GENFAST_HD void start_weights() {
    F largest;
    const F total = exponentiate(weight_, a_.components, largest);
    check_ = F(0.0) * total;
    for (int64_t k = 0; k < a_.components; ++k) weight_.set(k, weight_[k] / total);
  }

  GENFAST_HD void read_channel(int64_t c) {
    const int64_t n = a_.components, block = n * (a_.coupled ? 3 : 2), begin = n + c * block;
    row_.read(mean_, begin, n);
    row_.read(inverse_scale_, begin + n, n);
    for (int64_t k = 0; k < n; ++k) {
      const F log_scale = inverse_scale_[k];
      check_ = fma(mean_[k], F(0.0), fma(log_scale, F(0.0), check_));
      inverse_scale_.set(k, exp_f64(-max(log_scale, F(-7.0))));
    }
    if (a_.coupled && c > 0) {
      couple(n + (c == 1 ? 0 : block) + 2 * n, x_[0]);
      if (c == 2) couple(n + 2 * block + 2 * n, x_[1]);
    }
  }

  // Means grow by tanh(coefficient) times what an earlier channel is.
  GENFAST_HD void couple(int64_t channel, F x) {
    row_.read(work_, channel, a_.components);
    for (int64_t k = 0; k < a_.components; ++k) {
      const F coefficient = work_[k];
      check_ = fma(coefficient, F(0.0), check_);
      mean_.set(k, fma(tanh_f64(coefficient), x, mean_[k]));
    }
  }

  // The border above a level.
  GENFAST_HD F edge(F level) const { return fma(level + F(0.5), F(a_.step), F(a_.low)); }

  // F(level), whatever the level: also below the first and above the last.
  GENFAST_HD F distribution(F level) const {
    const F x = edge(level);
    F sum(0.0);
    for (int64_t k = 0; k < a_.components; ++k) sum = sum + weight_[k] / (F(1.0) + exp_f64((mean_[k] - x) * inverse_scale_[k]));
    return sum;
  }

  GENFAST_HD F bound(F level) const {
    const F f = distribution(level);
    return select(level < F(0.0), F(0.0), select(level < last(), select(f < F(1.0), f, F(1.0)), F(1.0)));
  }

  GENFAST_HD F draw(F uniform) const {
    // A u of 0 asks for the first level that has any probability.
    const F u = max(uniform, F(0x1p-1074));
    F below(-1.0), reached = last();
    for (int64_t span = a_.levels; span > 1; span = (span + 1) / 2) {
      const F middle = floor((below + reached) * F(0.5));
      const auto enough = distribution(middle) >= u;
      reached = select(middle > below, select(enough, middle, reached), reached);
      below = select(enough, below, middle);
    }
    return reached;
  }

  // Where a component's level begins and ends, as arguments of the sigmoid: a of its lower border, minus_b of its upper one
  // negated, infinite for the first and the last level; width is log(1 - e^(a - b)), or the difference itself.
  struct Interval {
    F a, minus_b, width;
  };
  template <bool logarithm>
  GENFAST_INLINE_MEMBER Interval interval(int64_t k, F level) const {
    const auto first = level == F(0.0), top = level == last();
    const F mean = mean_[k], inverse = inverse_scale_[k], none(-__builtin_inf());
    const F width = -expm1_nonpositive_f64(-(F(a_.step) * inverse));
    const F inner = logarithm ? log_f64(width) : width, whole(logarithm ? 0.0 : 1.0);
    return {select(first, none, (edge(level - F(1.0)) - mean) * inverse), select(top, none, (mean - edge(level)) * inverse),
            select(first, whole, select(top, whole, inner))};
  }

  // The log probability of a level; the weights become those given the level, or stay where it is impossible.
  GENFAST_HD F update(F level) {
    F total(0.0);
    for (int64_t k = 0; k < a_.components; ++k) {
      const Interval i = interval<false>(k, level);
      const F w = weight_[k] * (i.width / ((F(1.0) + exp_f64(i.a)) * (F(1.0) + exp_f64(i.minus_b))));
      work_.set(k, w);
      total = total + w;
    }
    // Far out in every tail the products underflow: logarithms do not.
    const auto plain = total > F(0x1p-600);
    const bool all = Row::all(plain);
    F log_prob = log_f64(total);
    if (!all) log_prob = select(plain, log_prob, log_probability(level));
    const auto possible = log_prob > F(-__builtin_inf());
    for (int64_t k = 0; k < a_.components; ++k) {
      F w = work_[k] / total;
      if (!all) w = select(plain, w, exp_nonpositive_f64(log_weight_[k] - log_prob));
      weight_.set(k, select(possible, w, weight_[k]));
    }
    return log_prob;
  }

  // The same from logarithms alone, which stay in log_weight_: those of the weights times the level's probabilities.
  GENFAST_HD F log_probability(F level) {
    F largest(-__builtin_inf()), total(0.0);
    for (int64_t k = 0; k < a_.components; ++k) {
      const Interval i = interval<true>(k, level);
      const F term = log_f64(weight_[k]) + log_logistic_interval(i.a, i.minus_b, i.width);
      log_weight_.set(k, term);
      largest = max(term, largest);
    }
    for (int64_t k = 0; k < a_.components; ++k) total = total + exp_nonpositive_f64(log_weight_[k] - largest);
    return select(largest > F(-__builtin_inf()), largest + log_f64(total), largest);
  }

  const Row& row_;
  const LogisticLevels& a_;
  const Array weight_, mean_, inverse_scale_, work_, log_weight_;
  F x_[2];
  F check_;
};

}  // namespace numerics
}  // namespace genfast
