// What top-k, top-p and min-p leave of the levels at one site of one row: found by one thread, addition by addition as on the CPU
// (cuda/sampling/kept_row.h), since sites and rows are many. The maxima of blocks of levels spare it most of a large
// vocabulary. Called by logits_head.h.
#pragma once
#include "cuda/decode/program.h"
#include "cuda/sampling/kept_row.h"

namespace genfast {
namespace cuda {

// Logit k of a row, or of a pair of rows under guidance.
struct GuidedLogits {
  const float *with, *without;  // the same without guidance
  float guidance;
  GENFAST_HD float operator[](int64_t k) const {
    const float x = with[k];
    if (with == without) return x;
    const float y = without[k];
    // Equal logits stay what they are: -inf of a level that neither allows, too.
    return x == y ? x : y + guidance * (x - y);
  }
};

// A row of logits as kept_row.h reads one.
struct TemperedRow {
  struct Elements {
    GuidedLogits logits;
    int64_t n;
    GENFAST_HD float operator[](int64_t k) const { return logits[k]; }
  } elements;
  float temperature, most;
  const float* maxima;  // the largest logit of each block
  GENFAST_HD float tempered(float x) const { return x / temperature; }
  // As many elements as blocks reach the k-th largest maximum.
  GENFAST_HD float least_of_top(int64_t k) const {
    const int64_t blocks = level_blocks(elements.n);
    if (k > blocks) return -__builtin_inff();
    return tempered(kth_largest<float>(blocks, k, [this](int64_t b) { return maxima[b]; }));
  }
  GENFAST_HD bool may_reach(int64_t b, float x) const { return tempered(maxima[b]) >= x; }
};

// In a slot of TileArrays::filtered.
class KeptLevels {
 public:
  static GENFAST_HD int64_t bytes(int64_t levels) { return 16 + unsure_bytes<float>(levels); }
  GENFAST_HD KeptLevels(char* slot, int64_t levels) : count_(reinterpret_cast<int64_t*>(slot)), row_(slot + 16, levels) {}

  // total: of the row's weights; NaN where it has no distribution, and then nothing is kept.
  GENFAST_HD void find(const TemperedRow& row, const TileArrays& tile, double total) const {
    *count_ = total == total ? row_.filter(row, tile.top_k, tile.top_p, tile.min_p, total) : 0;
  }
  GENFAST_HD int64_t count() const { return *count_; }
  GENFAST_HD GuidedLogits logits() const { return {row_.z, row_.z, 1.0f}; }
  GENFAST_HD int32_t level(int32_t rank) const { return row_.index[rank]; }
  // A level's rank among the kept, or -1 - the rank it would have.
  GENFAST_HD int32_t rank_of(int32_t level) const {
    int32_t begin = 0, end = static_cast<int32_t>(count());
    while (begin < end) {
      const int32_t middle = begin + (end - begin) / 2;
      if (row_.index[middle] < level)
        begin = middle + 1;
      else
        end = middle;
    }
    return begin < count() && row_.index[begin] == level ? begin : -1 - begin;
  }

 private:
  int64_t* count_;
  KeptRow<float> row_;
};

}  // namespace cuda
}  // namespace genfast
