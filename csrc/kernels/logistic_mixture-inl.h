// The discretised mixture of logistics (Salimans et al., "PixelCNN++", 2017): the channels of a position one after another, each a
// chain of exact conditionals by Bayes' rule. Elements are lanes, all in double. Every step of F is a correctly rounded monotone
// operation of the level, so bisection finds the smallest level with F >= u whatever it asks on the way.
// Included once per target by targets/<target>_heads.cc, after links-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

// kHeadLanes elements at one position each.
class LogisticMixture {
 public:
  LogisticMixture(const LogisticMixtureArgs& args, int64_t first) : a_(args), first_(first) {}

  // Whether each lane has a distribution, as a mask of bits.
  uint32_t run() {
    gather(weight_, a_.rows, first_, a_.n, 0, a_.components);
    start_weights();
    for (int64_t c = 0; c < a_.channels; ++c) {
      read_channel(c);
      const int64_t at = c * a_.n + first_;
      if (a_.u) draw(at);
      const head_lanes level = load_levels(at);
      if (a_.lower) {
        bound(level - head_lanes(1.0)).store_n(a_.lower + at, left());
        bound(level).store_n(a_.upper + at, left());
      }
      if (a_.log_prob || c + 1 < a_.channels) {
        const head_lanes log_prob = update(level);
        if (a_.log_prob) log_prob.store_n(a_.log_prob + at, left());
      }
      if (c < 2) x_[c] = fma(level, head_lanes(a_.step), head_lanes(a_.low));
    }
    return mask_bits(check_ == check_);
  }

 private:
  using F = head_lanes;

  int64_t left() const { return a_.n - first_; }
  int64_t element(int64_t i) const { return i < left() ? i : left() - 1; }
  static GENFAST_INLINE_MEMBER F load(const double* from, int64_t k) { return F::load(from + k * kHeadLanes); }
  F last() const { return F(static_cast<double>(a_.levels - 1)); }

  // Logits to the weights of the components.
  void start_weights() {
    F largest;
    const F total = exponentiate(weight_, a_.components, largest);
    check_ = F(0.0) * total;
    for (int64_t k = 0; k < a_.components; ++k) (load(weight_, k) / total).store(weight_ + k * kHeadLanes);
  }

  void read_channel(int64_t c) {
    const int64_t n = a_.components, block = n * (a_.coupled ? 3 : 2), begin = n + c * block;
    gather(mean_, a_.rows, first_, a_.n, begin, n);
    gather(inverse_scale_, a_.rows, first_, a_.n, begin + n, n);
    for (int64_t k = 0; k < n; ++k) {
      const F log_scale = load(inverse_scale_, k);
      check_ = fma(load(mean_, k), F(0.0), fma(log_scale, F(0.0), check_));
      numerics::exp_f64(-max(log_scale, F(-7.0))).store(inverse_scale_ + k * kHeadLanes);
    }
    if (a_.coupled && c > 0) {
      couple(n + (c == 1 ? 0 : block) + 2 * n, x_[0]);
      if (c == 2) couple(n + 2 * block + 2 * n, x_[1]);
    }
  }

  // Means grow by tanh(coefficient) times what an earlier channel is.
  void couple(int64_t channel, F x) {
    gather(work_, a_.rows, first_, a_.n, channel, a_.components);
    for (int64_t k = 0; k < a_.components; ++k) {
      const F coefficient = load(work_, k);
      check_ = fma(coefficient, F(0.0), check_);
      fma(numerics::tanh_f64(coefficient), x, load(mean_, k)).store(mean_ + k * kHeadLanes);
    }
  }

  // The border above a level.
  F edge(F level) const { return fma(level + F(0.5), F(a_.step), F(a_.low)); }

  // F(level), whatever the level: also below the first and above the last.
  F distribution(F level) const {
    const F x = edge(level);
    F sum(0.0);
    for (int64_t k = 0; k < a_.components; ++k)
      sum = sum + load(weight_, k) / (F(1.0) + numerics::exp_f64((load(mean_, k) - x) * load(inverse_scale_, k)));
    return sum;
  }

  F bound(F level) const {
    const F f = distribution(level);
    return select(level < F(0.0), F(0.0), select(level < last(), select(f < F(1.0), f, F(1.0)), F(1.0)));
  }

  void draw(int64_t at) {
    // A u of 0 asks for the first level that has any probability.
    const F u = max(F::load_n(a_.u + at, left(), 0.5), F(0x1p-1074));
    F below(-1.0), reached = last();
    for (int64_t span = a_.levels; span > 1; span = (span + 1) / 2) {
      const F middle = floor((below + reached) * F(0.5));
      const auto enough = distribution(middle) >= u;
      reached = select(middle > below, select(enough, middle, reached), reached);
      below = select(enough, below, middle);
    }
    alignas(64) double level[kHeadLanes];
    reached.store(level);
    for (int64_t i = 0; i < kHeadLanes && i < left(); ++i)
      if (!a_.given || !a_.given[at + i]) a_.level[at + i] = static_cast<int32_t>(level[i]);
  }

  F load_levels(int64_t at) const {
    alignas(64) double level[kHeadLanes];
    for (int64_t i = 0; i < kHeadLanes; ++i) level[i] = static_cast<double>(a_.level[at + element(i)]);
    return F::load(level);
  }

  // Where a component's level begins and ends, as arguments of the sigmoid: a of its lower border, minus_b of its upper one
  // negated, infinite for the first and the last level; width is log(1 - e^(a - b)), or the difference itself.
  struct Interval {
    F a, minus_b, width;
  };
  template <bool logarithm>
  GENFAST_INLINE_MEMBER Interval interval(int64_t k, F level) const {
    const auto first = level == F(0.0), top = level == last();
    const F mean = load(mean_, k), inverse = load(inverse_scale_, k), none(-__builtin_inf());
    const F width = -numerics::expm1_nonpositive_f64(-(F(a_.step) * inverse));
    const F inner = logarithm ? numerics::log_f64(width) : width, whole(logarithm ? 0.0 : 1.0);
    return {select(first, none, (edge(level - F(1.0)) - mean) * inverse), select(top, none, (mean - edge(level)) * inverse),
            select(first, whole, select(top, whole, inner))};
  }

  // The log probability of a level; the weights become those given the level, or stay where it is impossible.
  F update(F level) {
    F total(0.0);
    for (int64_t k = 0; k < a_.components; ++k) {
      const Interval i = interval<false>(k, level);
      const F w = load(weight_, k) * (i.width / ((F(1.0) + numerics::exp_f64(i.a)) * (F(1.0) + numerics::exp_f64(i.minus_b))));
      w.store(work_ + k * kHeadLanes);
      total = total + w;
    }
    // Far out in every tail the products underflow: logarithms do not.
    const auto plain = total > F(0x1p-600);
    const bool all = mask_bits(plain) == (1u << kHeadLanes) - 1;
    F log_prob = numerics::log_f64(total);
    if (!all) log_prob = select(plain, log_prob, log_probability(level));
    const auto possible = log_prob > F(-__builtin_inf());
    for (int64_t k = 0; k < a_.components; ++k) {
      F w = load(work_, k) / total;
      if (!all) w = select(plain, w, numerics::exp_nonpositive_f64(load(log_weight_, k) - log_prob));
      select(possible, w, load(weight_, k)).store(weight_ + k * kHeadLanes);
    }
    return log_prob;
  }

  // The same from logarithms alone, which stay in log_weight_: those of the weights times the level's probabilities.
  F log_probability(F level) {
    F largest(-__builtin_inf()), total(0.0);
    for (int64_t k = 0; k < a_.components; ++k) {
      const Interval i = interval<true>(k, level);
      const F term = numerics::log_f64(load(weight_, k)) + numerics::log_logistic_interval(i.a, i.minus_b, i.width);
      term.store(log_weight_ + k * kHeadLanes);
      largest = max(term, largest);
    }
    for (int64_t k = 0; k < a_.components; ++k) total = total + numerics::exp_nonpositive_f64(load(log_weight_, k) - largest);
    return select(largest > F(-__builtin_inf()), largest + numerics::log_f64(total), largest);
  }

  const LogisticMixtureArgs& a_;
  const int64_t first_;
  alignas(64) double weight_[kMostComponents * kHeadLanes];  // of the components, given the channels so far; of sum 1
  alignas(64) double mean_[kMostComponents * kHeadLanes];
  alignas(64) double inverse_scale_[kMostComponents * kHeadLanes];
  alignas(64) double work_[kMostComponents * kHeadLanes];
  alignas(64) double log_weight_[kMostComponents * kHeadLanes];
  F x_[2];
  F check_;  // NaN in a lane without a distribution
};

int64_t logistic_mixture(const LogisticMixtureArgs& args) {
  int64_t bad = -1;
  for (int64_t first = 0; first < args.n; first += kHeadLanes) {
    LogisticMixture lanes(args, first);
    const uint32_t good = lanes.run();
    for (int64_t i = 0; i < kHeadLanes && first + i < args.n && bad < 0; ++i)
      if (!(good >> i & 1)) bad = first + i;
  }
  return bad;
}

}  // namespace
}  // namespace GENFAST_NS

extern const HeadKernels GENFAST_JOIN(GENFAST_NS, _head_kernels) = {
    {GENFAST_NS::link<GENFAST_NS::Link_identity>, GENFAST_NS::link<GENFAST_NS::Link_exp>,
     GENFAST_NS::link<GENFAST_NS::Link_softplus>, GENFAST_NS::link<GENFAST_NS::Link_sigmoid>,
     GENFAST_NS::link<GENFAST_NS::Link_tanh>, GENFAST_NS::link<GENFAST_NS::Link_square>},
    GENFAST_NS::mixture_weights,
    GENFAST_NS::log_sum_exp,
    GENFAST_NS::logistic_mixture,
};

}  // namespace genfast
