// What heads have in common: which numbers of the tile are a site's, what the network is fed, and the logits a caller asked for.
// Called by run_program.h around the head of the program's kind.
#pragma once
#include "cuda/decode/program.h"

namespace genfast {
namespace cuda {

// The outputs of a site's distribution for row r of the block; null where it has none.
GENFAST_HD inline const float* outputs_of(const Block& b, const Site& site, int64_t r) {
  const HeadInfo& head = b.program.head;
  if (site.logits < 0) return nullptr;
  if (head.constant) return b.program.floats() + site.logits + head.channel;
  return b.arena + static_cast<int64_t>(site.logits) * b.capacity + r * head.stride + head.channel;
}

// Of row r of the block, in the tile's arrays.
GENFAST_HD inline int64_t tile_index(const Block& b, const Site& site, int64_t r) { return site.site * b.tile.rows + b.first + r; }

// also(i, r) is done of every site i and row r besides.
template <class Executor, class Also>
GENFAST_HD void feed_sites(Executor& exec, const Block& b, const Site* sites, int64_t n_sites, const Also& also) {
  const HeadInfo& head = b.program.head;
  const TileArrays& tile = b.tile;
  const bool has_levels = head.kind != HeadKind::family && head.kind != HeadKind::none;
  exec.each(n_sites * b.rows, [&](int64_t item) {
    const Site& site = sites[item / b.rows];
    const int64_t r = item % b.rows, at = tile_index(b, site, r);
    also(item / b.rows, r);
    if (tile.u && site.logits == kNoDistribution && has_levels && !(tile.given && tile.given[at])) tile.levels[at] = head.bos;
    if (site.input < 0) return;
    float value;
    if (has_levels) {
      const int32_t level = tile.levels[at];
      value = level >= head.levels ? static_cast<float>(level) : b.program.floats()[head.values + (level < 0 ? 0 : level)];
    } else {
      value = tile.x[at];
    }
    b.arena[static_cast<int64_t>(site.input) * b.capacity + r * head.input_stride + site.site / b.program.positions] = value;
  });
}

template <class Executor>
GENFAST_HD void copy_logits(Executor& exec, const Block& b, const Site* sites, int64_t n_sites) {
  const HeadInfo& head = b.program.head;
  const int64_t count = head.outputs, places = head.by_position ? b.program.positions : b.program.n_sites;
  exec.each(n_sites * b.rows * count, [&](int64_t item) {
    const int64_t k = item % count, r = item / count % b.rows;
    const Site& site = sites[item / count / b.rows];
    // Sites of one position have the same.
    if (site.logits < 0 || (head.by_position && site.channels < 0)) return;
    b.tile.logits[((b.first + r) * count + k) * places + site.site % places] = outputs_of(b, site, r)[k];
  });
}

}  // namespace cuda
}  // namespace genfast
