// What top-k, top-p and min-p leave of the levels at one site of one row: where it lies, and how all threads find it, as in
// sampling (cuda/sampling/filter_rows.h). Called by logits_head.h.
#pragma once
#include "cuda/decode/program.h"
#include "cuda/sampling/filter_rows.h"

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
  GENFAST_HD float tempered(float x) const { return x / temperature; }
};

// In a slot of TileArrays::filtered.
class KeptLevels {
 public:
  static GENFAST_HD int64_t bytes(int64_t levels) { return kStateBytes + unsure_bytes<float>(levels); }
  GENFAST_HD KeptLevels(char* slot, int64_t levels)
      : state_(reinterpret_cast<FilterState*>(slot)), row_(slot + kStateBytes, levels) {}

  GENFAST_HD int64_t count() const { return state_->kept; }
  GENFAST_HD float* logits() const { return row_.z; }
  GENFAST_HD int32_t* levels() const { return row_.index; }
  GENFAST_HD double* weights() const { return row_.weight; }
  // As many sums as enough_parts() asks for lie where only find_alone() keeps anything.
  GENFAST_HD FilterShared shared() const { return FilterShared(state_, row_.pair_weight); }

  // Addition by addition, as on the CPU.
  GENFAST_HD void find_alone(const TemperedRow& row, const TileArrays& tile) const {
    state_->kept = row_.filter(row, tile.top_k, tile.top_p, tile.min_p, state_->total);
  }

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
  static constexpr int64_t kStateBytes = (sizeof(FilterState) + 15) / 16 * 16;
  FilterState* state_;
  KeptRow<float> row_;
};

// How many items share a row so that all threads have work: a power of 16. Their sums, 7 doubles each, must fit
// KeptLevels::shared().
GENFAST_HD inline int64_t enough_parts(int64_t threads, int64_t rows, int64_t levels) {
  int64_t parts = 1;
  while (parts < 256 && rows * parts < threads && 8 * 16 * parts <= levels) parts *= 16;
  return parts;
}

// The rows of a head as filter_rows() wants them. total_of(r): of the weights, NaN where nothing is to be found.
template <class TotalOf, class RowOf>
struct FilteredLevels {
  using Real = float;
  int64_t rows, n, parts, top_k;
  double top_p, min_p;
  int64_t room_size;
  char* slots;
  const TotalOf& total_of;
  const RowOf& row_of;

  GENFAST_HD FilteredLevels(int64_t count, int64_t levels, int64_t threads, const TileArrays& tile, char* at,
                            const TotalOf& find_total, const RowOf& find_row)
      : rows(count),
        n(levels),
        parts(enough_parts(threads, count, levels)),
        top_k(tile.top_k),
        top_p(tile.top_p),
        min_p(tile.min_p),
        room_size(levels),
        slots(at),
        total_of(find_total),
        row_of(find_row) {}

  GENFAST_HD KeptLevels kept(int64_t r) const { return KeptLevels(slots + r * KeptLevels::bytes(n), n); }
  GENFAST_HD FilterShared shared(int64_t r) const { return kept(r).shared(); }
  GENFAST_HD double total(int64_t r) const { return total_of(r); }
  GENFAST_HD TemperedRow row(int64_t r) const { return row_of(r); }
  GENFAST_HD float* list_z(int64_t r) const { return kept(r).logits(); }
  GENFAST_HD int32_t* list_index(int64_t r) const { return kept(r).levels(); }
  GENFAST_HD double* room(int64_t r) const { return kept(r).weights(); }
};

// Finds what is kept of every row, in its slot.
template <class Executor, class TotalOf, class RowOf>
GENFAST_CALL void find_kept(Executor& exec, const FilteredLevels<TotalOf, RowOf>& levels, const TileArrays& tile) {
  filter_rows(exec, levels);
  if (levels.top_p < 1.0)
    exec.each(levels.rows, [&](int64_t r) {
      if (levels.shared(r).state->unsure) levels.kept(r).find_alone(levels.row_of(r), tile);
    });
}

}  // namespace cuda
}  // namespace genfast
