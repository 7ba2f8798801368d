// The head of mixtures of logistics: an item draws the channels of one position in one row, one after another. The arithmetic is
// numerics/logistic_mixture.h. Called by run_program.h.
#pragma once
#include "cuda/decode/head_array.h"
#include "cuda/decode/sites.h"
#include "numerics/logistic_mixture.h"

namespace genfast {
namespace cuda {

// What numerics/logistic_mixture.h reads and writes.
struct LogisticRow {
  using F = double;
  using Array = HeadArray;
  const Block& b;
  const Site& site;
  const int64_t r;

  GENFAST_HD int64_t index(int64_t c) const {
    return (c * b.program.positions + site.site % b.program.positions) * b.tile.rows + b.first + r;
  }
  GENFAST_HD bool here(int64_t c) const { return b.program.places[site.channels + c] != 0; }
  GENFAST_HD void read(const HeadArray& to, int64_t channel, int64_t count) const {
    const float* from = outputs_of(b, site, r) + channel;
    for (int64_t k = 0; k < count; ++k) to.set(k, static_cast<double>(from[k]));
  }
  GENFAST_HD bool draws(int64_t c) const { return b.tile.u && here(c) && !(b.tile.given && b.tile.given[index(c)]); }
  GENFAST_HD double uniform(int64_t c) const { return b.tile.u[index(c)]; }
  GENFAST_HD void set_level(int64_t c, double x) const { b.tile.levels[index(c)] = static_cast<int32_t>(x); }
  GENFAST_HD double level(int64_t c) const { return static_cast<double>(b.tile.levels[index(c)]); }
  GENFAST_HD bool bounds(int64_t c) const { return b.tile.lower && here(c); }
  GENFAST_HD void set_bounds(int64_t c, double lower, double upper) const {
    b.tile.lower[index(c)] = lower;
    b.tile.upper[index(c)] = upper;
  }
  GENFAST_HD bool scores(int64_t c) const { return b.tile.log_prob && here(c); }
  GENFAST_HD void set_log_prob(int64_t c, double x) const { b.tile.log_prob[index(c)] = x; }
  static GENFAST_HD bool all(bool m) { return m; }
};

template <class Executor>
GENFAST_CALL void run_logistic_mixture(Executor& exec, const Block& b, const Site* sites, int64_t n_sites, int64_t step,
                                       int64_t place) {
  const HeadInfo& head = b.program.head;
  const numerics::LogisticLevels levels{
      b.program.n_sites / b.program.positions, head.components, head.coupled != 0, head.low, head.step, head.levels};
  const int64_t items = n_sites * b.rows, together = b.scratch_floats / head_scratch(head);
  for (int64_t begin = 0; begin < items; begin += together) {
    const int64_t count = begin + together < items ? together : items - begin;
    exec.each(count, [&](int64_t n) {
      const int64_t item = begin + n, at = item / b.rows;
      const Site& site = sites[at];
      if (site.channels < 0) return;
      const LogisticRow row{b, site, item % b.rows};
      const HeadArray own{reinterpret_cast<double*>(b.scratch) + n, count};
      numerics::LogisticMixture<LogisticRow> mixture(row, levels, own, own.from(levels.components), own.from(2 * levels.components),
                                                     own.from(3 * levels.components), own.from(4 * levels.components));
      const double check = mixture.run();
      if (!(check == check)) b.fail(step, place + at, row.r);
    });
  }
}

}  // namespace cuda
}  // namespace genfast
