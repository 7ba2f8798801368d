// Heads of logits: categorical, a thread a block of sixteen levels until their running sums and the pick, and Bernoulli. The
// arithmetic is that of kernels/logits-inl.h, categorical-inl.h and bernoulli-inl.h. Called by run_program.h.
#pragma once
#include "cuda/decode/kept_levels.h"
#include "cuda/decode/lanes.h"
#include "cuda/decode/sites.h"
#include "numerics/bernoulli.h"
#include "numerics/exp_log.h"
#include "numerics/intervals.h"

namespace genfast {
namespace cuda {

// The sites of a step times the rows of a block, or with guidance the pairs of rows: what a head draws, numbered.
class HeadItems {
 public:
  GENFAST_HD HeadItems(const Block& b, const Site* sites, int64_t n_sites)
      : b_(b), sites_(sites), copies_(b.tile.guidance != 1.0f ? 2 : 1), rows_(b.rows / copies_), count_(n_sites * rows_) {}

  GENFAST_HD int64_t count() const { return count_; }
  GENFAST_HD int64_t place(int64_t item) const { return item / rows_; }
  GENFAST_HD const Site& site(int64_t item) const { return sites_[item / rows_]; }
  GENFAST_HD int64_t row(int64_t item) const { return item % rows_ * copies_; }
  GENFAST_HD bool exists(int64_t item) const { return site(item).logits >= 0; }
  GENFAST_HD int64_t index(int64_t item) const { return tile_index(b_, site(item), row(item)); }
  GENFAST_HD GuidedLogits logits(int64_t item) const {
    const float* with = outputs_of(b_, site(item), row(item));
    return {with, copies_ == 2 ? outputs_of(b_, site(item), row(item) + 1) : with, b_.tile.guidance};
  }
  GENFAST_HD bool draws(int64_t item) const { return b_.tile.u && !(b_.tile.given && b_.tile.given[index(item)]); }

  // For the item's rows.
  GENFAST_HD void set_level(int64_t item, int32_t level) const {
    for (int64_t k = 0; k < copies_; ++k) b_.tile.levels[index(item) + k] = level;
  }
  GENFAST_HD void set(double* array, int64_t item, double x) const {
    for (int64_t k = 0; k < copies_; ++k) array[index(item) + k] = x;
  }

 private:
  const Block& b_;
  const Site* sites_;
  const int64_t copies_, rows_, count_;
};

// A row's weights e^(z - m), z = logit / temperature.
class LevelWeights {
 public:
  GENFAST_HD LevelWeights(GuidedLogits logits, int64_t levels, float temperature, float m)
      : logits_(logits), levels_(levels), temperature_(temperature), m_(m) {}
  GENFAST_HD int64_t levels() const { return levels_; }
  GENFAST_HD int64_t blocks() const { return level_blocks(levels_); }
  // Of the sixteen levels from k on; 0 past the end.
  GENFAST_HD void block(int64_t k, float (&w)[kLanes]) const {
    for (int i = 0; i < kLanes; ++i)
      w[i] = numerics::exp_nonpositive_f32((k + i < levels_ ? logits_[k + i] : -__builtin_inff()) / temperature_ - m_);
  }
  GENFAST_HD double log_prob(int64_t k, double total) const {
    const float z = logits_[k] / temperature_;
    return (static_cast<double>(z) - static_cast<double>(m_)) - numerics::log_f64(total);
  }

 private:
  GuidedLogits logits_;
  int64_t levels_;
  float temperature_, m_;
};

// Rounding may leave the sum of a block's weights, one by one, short of its block sum: then the last level with weight.
GENFAST_HD inline int last_possible(const float (&w)[kLanes]) {
  int last = 0;
  for (int i = 0; i < kLanes; ++i) last = w[i] > 0.0f ? i : last;
  return last;
}

// Sums become marks: each that of all blocks before its own. Returns what all come to.
GENFAST_HD inline double run_up(double* sums, int64_t blocks) {
  double running = 0.0;
  in_order(sums, blocks, [&](int64_t b, double sum) {
    sums[b] = running;
    running = running + sum;
  });
  return running;
}

GENFAST_HD inline int32_t pick_level(const LevelWeights& weights, const double* marks, double total, double u) {
  const double target = least_target(u * total);
  int64_t b = 0;
  for (int64_t end = weights.blocks(); end - b > 1;) {
    const int64_t middle = b + (end - b) / 2;
    if (marks[middle] < target)
      b = middle;
    else
      end = middle;
  }
  float w[kLanes];
  weights.block(b * kLanes, w);
  int inside = 0;
  double running = marks[b];
  for (int i = 0; i < kLanes; ++i) {
    running = running + static_cast<double>(w[i]);
    inside += running < target;
  }
  if (inside == kLanes) inside = last_possible(w);
  return static_cast<int32_t>(b * kLanes + inside);
}

// The level's interval of u: kernels.h, CategoricalIntervalFn.
GENFAST_HD inline void level_interval(const LevelWeights& weights, const double* marks, double total, int32_t level, double& lower,
                                      double& upper) {
  const int64_t mine = level / kLanes;
  const double before = marks[mine], after = mine + 1 < weights.blocks() ? marks[mine + 1] : total;
  float w[kLanes];
  weights.block(mine * kLanes, w);
  const int at = static_cast<int>(level % kLanes), last = last_possible(w);
  double from = before, to = before, running = before;
  for (int i = 0; i <= at; ++i) {
    running = running + static_cast<double>(w[i]);
    from = to;
    to = running < after ? running : after;
  }
  if (at == last) to = after;
  if (at > last) from = to = after;
  lower = numerics::last_uniform(from, total);
  upper = numerics::last_uniform(to, total);
}

// Draws and scores one item. Of `kept`, if it is not null, `weights` are those.
GENFAST_HD inline void settle_level(const TileArrays& tile, const HeadItems& items, int64_t item, const LevelWeights& weights,
                                    const double* marks, double total, const KeptLevels* kept) {
  if (items.draws(item)) {
    const int32_t picked = pick_level(weights, marks, total, tile.u[items.index(item)]);
    items.set_level(item, kept ? kept->levels()[picked] : picked);
  }
  const int32_t level = tile.levels[items.index(item)], rank = kept ? kept->rank_of(level) : level;
  if (tile.log_prob) items.set(tile.log_prob, item, rank < 0 ? -__builtin_inf() : weights.log_prob(rank, total));
  if (tile.lower) {
    // A level that is not kept lies, without width, above the last kept one before it.
    const int32_t at = rank < 0 ? -1 - rank - 1 : rank;
    double lower = 0.0, upper = 0.0;
    if (at >= 0) level_interval(weights, marks, total, at, lower, upper);
    items.set(tile.lower, item, rank < 0 ? upper : lower);
    items.set(tile.upper, item, upper);
  }
}

constexpr int64_t kFolds = 32;

template <class Executor>
GENFAST_CALL void run_categorical(Executor& exec, const Block& b, const Site* sites, int64_t n_sites, int64_t step, int64_t place) {
  const HeadInfo& head = b.program.head;
  const TileArrays& tile = b.tile;
  const HeadItems items(b, sites, n_sites);
  const int64_t blocks = level_blocks(head.levels), each = 3 * blocks + 3;
  int64_t together = b.scratch_floats / each;
  if (tile.filtered && tile.filter_slots < together) together = tile.filter_slots;
  char* filtered = tile.filtered + b.first / b.capacity * tile.filter_slots * KeptLevels::bytes(head.levels);
  const auto needed = [&](int64_t item) { return items.exists(item) && (items.draws(item) || tile.log_prob || tile.lower); };
  for (int64_t begin = 0; begin < items.count(); begin += together) {
    const int64_t count = begin + together < items.count() ? together : items.count() - begin;
    // Of a prompt there is nothing to draw: all threads see that alike.
    bool any = false;
    for (int64_t n = 0; n < count && !any; ++n) any = needed(begin + n);
    if (!any) continue;
    // First the doubles: a sum for each block. Then a maximum for each block, and of all.
    double* sums = reinterpret_cast<double*>(b.scratch);
    float* maxima = b.scratch + 2 * count * blocks;
    float* largest = maxima + count * blocks;
    exec.each(count * blocks, [&](int64_t item) {
      const int64_t n = item / blocks, k = item % blocks * kLanes;
      if (!items.exists(begin + n)) return;
      const GuidedLogits logits = items.logits(begin + n);
      float best = -__builtin_inff();
      for (int64_t i = k; i < k + kLanes && i < head.levels; ++i) best = numerics::max(logits[i], best);
      maxima[item] = best;
    });
    // Of many blocks first every kFolds-th.
    const int64_t folds = blocks > 4 * kFolds ? kFolds : blocks;
    if (folds < blocks)
      exec.each(count * folds, [&](int64_t item) {
        float* mine = maxima + item / folds * blocks;
        float best = mine[item % folds];
        for (int64_t k = item % folds + folds; k < blocks; k += folds) best = numerics::max(mine[k], best);
        mine[item % folds] = best;
      });
    exec.each(count, [&](int64_t n) {
      if (!items.exists(begin + n)) return;
      float best = -__builtin_inff();
      for (int64_t k = 0; k < folds; ++k) best = numerics::max(maxima[n * blocks + k], best);
      largest[n] = best / tile.temperature;
    });
    const auto add_up = [&](const auto& weights_of) {
      exec.each(count * blocks, [&](int64_t item) {
        const int64_t n = item / blocks, k = item % blocks;
        if (!items.exists(begin + n)) return;
        const LevelWeights weights = weights_of(n);
        if (k >= weights.blocks()) return;
        float w[kLanes];
        weights.block(k * kLanes, w);
        sums[item] = fold_sum_f64(w);
      });
    };
    const auto kept_of = [&](int64_t n) { return KeptLevels(filtered + n * KeptLevels::bytes(head.levels), head.levels); };
    const auto weights_of_all = [&](int64_t n) {
      return LevelWeights(items.logits(begin + n), head.levels, tile.temperature, largest[n]);
    };
    const auto weights_of_kept = [&](int64_t n) {
      const KeptLevels kept = kept_of(n);
      return LevelWeights({kept.logits(), kept.logits(), 1.0f}, kept.count(), 1.0f, largest[n]);
    };
    const auto settle = [&](int64_t n, const LevelWeights& weights, const KeptLevels* kept) {
      const int64_t item = begin + n;
      const double total = weights.levels() > 0 ? run_up(sums + n * blocks, weights.blocks()) : __builtin_nan("");
      if (total == total) return settle_level(tile, items, item, weights, sums + n * blocks, total, kept);
      b.fail(step, place + items.place(item), items.row(item));
      if (items.draws(item)) items.set_level(item, 0);
    };

    add_up(weights_of_all);
    if (!tile.filtered) {
      exec.each(count, [&](int64_t n) {
        if (needed(begin + n)) settle(n, weights_of_all(n), nullptr);
      });
      continue;
    }
    const auto total_of_needed = [&](int64_t n) {
      return needed(begin + n) ? run_up(sums + n * blocks, blocks) : __builtin_nan("");
    };
    const auto row_of = [&](int64_t n) {
      return TemperedRow{{items.logits(begin + n), head.levels}, tile.temperature, largest[n]};
    };
    find_kept(exec, FilteredLevels(count, head.levels, exec.threads(), tile, filtered, total_of_needed, row_of), tile);
    add_up(weights_of_kept);
    exec.each(count, [&](int64_t n) {
      if (!needed(begin + n)) return;
      const KeptLevels kept = kept_of(n);
      settle(n, weights_of_kept(n), &kept);
    });
  }
}

template <class Executor>
GENFAST_CALL void run_bernoulli(Executor& exec, const Block& b, const Site* sites, int64_t n_sites, int64_t step, int64_t place) {
  const bool probs = b.program.head.probs != 0;
  const TileArrays& tile = b.tile;
  const HeadItems items(b, sites, n_sites);
  exec.each(items.count(), [&](int64_t item) {
    if (!items.exists(item)) return;
    const bool draws = items.draws(item);
    if (!draws && !tile.log_prob && !tile.lower) return;
    const float x = items.logits(item)[0], z = x / tile.temperature;
    if (probs ? numerics::bad_probability(x) : numerics::bad_logit(z)) {
      b.fail(step, place + items.place(item), items.row(item));
      if (draws) items.set_level(item, 0);
      return;
    }
    const double zero = probs ? numerics::zero_of_probability(x, tile.temperature) : numerics::zero_probability(z);
    if (draws) items.set_level(item, numerics::draw_bernoulli(tile.u[items.index(item)], zero));
    const int32_t level = tile.levels[items.index(item)];
    if (tile.log_prob)
      items.set(
          tile.log_prob, item,
          probs ? numerics::log_of_probability(x, tile.temperature, level) : numerics::log_of_logit(static_cast<double>(z), level));
    if (tile.lower) {
      items.set(tile.lower, item, level ? zero : 0.0);
      items.set(tile.upper, item, level ? 1.0 : zero);
    }
  });
}

}  // namespace cuda
}  // namespace genfast
