// Rows of arrays that no host has looked at, because that would wait for the device: what engine/ checks before a call is checked
// here, and what it would raise afterwards is noted row by row. A row that failed is blank in the end: level 0, NaN. Called by
// run_program.h, first and last, for calls of device_call.h.
#pragma once
#include "cuda/decode/program.h"

namespace genfast {
namespace cuda {

GENFAST_INLINE int64_t logits_of_row(const Program& program) {
  return program.head.outputs * (program.head.by_position ? program.positions : program.n_sites);
}

// Replaces what is out of range, so that nothing behind it has to look again.
template <class Executor>
GENFAST_CALL void check_rows(Executor& exec, const Block& b) {
  const HeadInfo& head = b.program.head;
  const TileArrays& tile = b.tile;
  exec.each(b.rows, [&](int64_t r) { b.failure[b.first + r] = kNoFailure; });
  exec.each(b.program.n_listed * b.rows, [&](int64_t item) {
    const Site& site = b.program.sites[item / b.rows];
    const int64_t r = item % b.rows, at = site.site * tile.rows + b.first + r;
    if (site.again) return;
    if (tile.log_prob) tile.log_prob[at] = 0.0;
    if (tile.lower) {
      tile.lower[at] = 0.0;
      tile.upper[at] = 1.0;
    }
    bool good = true;
    if (tile.u && !(tile.u[at] >= 0.0 && tile.u[at] <= 1.0)) {
      good = false;
      tile.u[at] = 0.5;
    }
    if (!tile.u || (tile.given && tile.given[at])) {
      if (tile.levels) {
        const int32_t level = tile.levels[at];
        if ((level < 0 || level >= head.levels) && !(site.logits == kNoDistribution && level == head.bos)) {
          good = false;
          tile.levels[at] = 0;
        }
      } else if (!(tile.x[at] - tile.x[at] == 0.0f)) {
        good = false;
        tile.x[at] = 0.0f;
      }
    }
    if (!good) b.fail(0, 0, r);
  });
  for (int32_t k = 0; k < b.program.n_conditions; ++k) {
    const ConditionInfo& condition = b.program.conditions[k];
    const int64_t size = int64_t{condition.positions} * condition.channels;
    exec.each(b.rows * size, [&](int64_t item) {
      const int64_t r = item / size;
      const float x = tile.conditions[(b.first + r) * b.program.condition_floats + condition.at + item % size];
      const bool inside = x >= 0.0f && x < static_cast<float>(condition.size);
      const bool good =
          condition.integer ? inside && static_cast<float>(static_cast<int64_t>(inside ? x : 0.0f)) == x : x - x == 0.0f;
      if (!good) b.fail(0, 0, r);
    });
  }
  if (!tile.logits) return;
  const int64_t size = logits_of_row(b.program);
  exec.each(b.rows * size, [&](int64_t item) { tile.logits[b.first * size + item] = 0.0f; });
}

// A roll this far is none: where a caller's uniform is not in [0, 1].
constexpr int32_t kNoRoll = 1 << 30;

// Of the round that is run next.
template <class Executor>
GENFAST_CALL void check_rolls(Executor& exec, const Block& b) {
  exec.each(2 * b.rows, [&](int64_t item) {
    if (b.tile.rolls[2 * b.first + item] >= kNoRoll / 2) b.fail(0, 0, item / 2);
  });
}

// With guidance a sample's two rows fail together.
GENFAST_HD inline bool row_failed(const Block& b, int64_t r) {
  if (b.tile.guidance == 1.0f) return b.failure[b.first + r] != kNoFailure;
  const int64_t even = b.first + r - r % 2;
  return b.failure[even] != kNoFailure || b.failure[even + 1] != kNoFailure;
}

template <class Executor>
GENFAST_CALL void close_rows(Executor& exec, const Block& b) {
  const TileArrays& tile = b.tile;
  const int64_t sites = b.program.n_sites;
  const double nan = __builtin_nan("");
  exec.each(b.rows, [&](int64_t r) {
    const bool failed = row_failed(b, r);
    tile.good[b.first + r] = !failed;
    if (!tile.row_log_prob) return;
    double total = 0.0;
    for (int64_t site = 0; site < sites; ++site) total = total + tile.log_prob[site * tile.rows + b.first + r];
    tile.row_log_prob[b.first + r] = failed ? nan : total;
  });
  exec.each(sites * b.rows, [&](int64_t item) {
    const int64_t r = item % b.rows, at = item / b.rows * tile.rows + b.first + r;
    if (!row_failed(b, r)) return;
    if (tile.levels) tile.levels[at] = 0;
    if (tile.x) tile.x[at] = static_cast<float>(nan);
    if (tile.lower) tile.lower[at] = tile.upper[at] = nan;
  });
  const auto blank = [&](float* array, int64_t size) {
    exec.each(b.rows * size, [&](int64_t item) {
      if (row_failed(b, item / size)) array[b.first * size + item] = static_cast<float>(nan);
    });
  };
  if (tile.logits) blank(tile.logits, logits_of_row(b.program));
  if (tile.output) blank(tile.output, int64_t{b.program.output.positions} * b.program.output.channels);
}

}  // namespace cuda
}  // namespace genfast
