// The mixture of logistics of numerics/logistic_mixture.h with elements for lanes.
// Included once per target by targets/<target>_heads.cc, after links-inl.h.
#include "numerics/logistic_mixture.h"

namespace genfast {
namespace GENFAST_NS {
namespace {

// kHeadLanes elements at one position each, from `first` on; lanes past the end repeat the last element.
struct LogisticRow {
  using F = head_lanes;
  using Array = HeadArray;
  const LogisticMixtureArgs& a;
  int64_t first;

  GENFAST_INLINE_MEMBER int64_t left() const { return a.n - first; }
  GENFAST_INLINE_MEMBER int64_t at(int64_t c) const { return c * a.n + first; }
  GENFAST_INLINE_MEMBER void read(HeadArray to, int64_t channel, int64_t count) const {
    gather(to.data, a.rows, first, a.n, channel, count);
  }
  GENFAST_INLINE_MEMBER bool draws(int64_t) const { return a.u != nullptr; }
  GENFAST_INLINE_MEMBER F uniform(int64_t c) const { return F::load_n(a.u + at(c), left(), 0.5); }
  GENFAST_INLINE_MEMBER void set_level(int64_t c, F x) const {
    alignas(64) double level[kHeadLanes];
    x.store(level);
    for (int64_t i = 0; i < kHeadLanes && i < left(); ++i)
      if (!a.given || !a.given[at(c) + i]) a.level[at(c) + i] = static_cast<int32_t>(level[i]);
  }
  GENFAST_INLINE_MEMBER F level(int64_t c) const {
    alignas(64) double level[kHeadLanes];
    for (int64_t i = 0; i < kHeadLanes; ++i) level[i] = static_cast<double>(a.level[at(c) + (i < left() ? i : left() - 1)]);
    return F::load(level);
  }
  GENFAST_INLINE_MEMBER bool bounds(int64_t) const { return a.lower != nullptr; }
  GENFAST_INLINE_MEMBER void set_bounds(int64_t c, F lower, F upper) const {
    lower.store_n(a.lower + at(c), left());
    upper.store_n(a.upper + at(c), left());
  }
  GENFAST_INLINE_MEMBER bool scores(int64_t) const { return a.log_prob != nullptr; }
  GENFAST_INLINE_MEMBER void set_log_prob(int64_t c, F x) const { x.store_n(a.log_prob + at(c), left()); }
  template <class Mask>
  static GENFAST_INLINE_MEMBER bool all(Mask m) {
    return mask_bits(m) == (1u << kHeadLanes) - 1;
  }
};

int64_t logistic_mixture(const LogisticMixtureArgs& args) {
  alignas(64) double arrays[5][kMostComponents * kHeadLanes];
  const numerics::LogisticLevels levels{args.channels, args.components, args.coupled, args.low, args.step, args.levels};
  int64_t bad = -1;
  for (int64_t first = 0; first < args.n; first += kHeadLanes) {
    const LogisticRow row{args, first};
    numerics::LogisticMixture<LogisticRow> lanes(row, levels, {arrays[0]}, {arrays[1]}, {arrays[2]}, {arrays[3]}, {arrays[4]});
    const head_lanes check = lanes.run();
    const uint32_t good = mask_bits(check == check);
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
