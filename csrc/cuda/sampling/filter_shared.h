// What threads that filter a row share: the search for a threshold, and their sums. In a block's shared memory, or, where the heads
// of decode/ filter, in the slot of the row.
#pragma once
#include "cuda/sampling/row_phases.h"

namespace genfast {
namespace cuda {

constexpr int kCandidates = 7;  // thresholds tried in one pass

// The threshold searched for lies in [low, high), as keys.
struct Search {
  uint64_t low, high;
  GENFAST_HD uint64_t candidate(int j) const {  // j = 0: low, kCandidates + 1: high
    const uint64_t width = high - low, parts = kCandidates + 1;
    return low + width / parts * static_cast<uint64_t>(j) + width % parts * static_cast<uint64_t>(j) / parts;
  }
  GENFAST_HD bool found() const { return high - low <= 1; }
};

struct FilterState {
  double total;  // of the row's weights; NaN: it has no distribution
  Search search;
  double top;               // what lies from the search's high end on
  double base, base_count;  // what lies over all that is listed
  int64_t listed;
  double above, reached;     // counts or weights over, and from, the threshold
  double count_above, ties;  // how many lie over it; of its equals, how many are kept
  double threshold;
  double target;
  int64_t kept;
  bool unsure;
};

// A block's is in shared memory behind that of its row.
struct FilterShared {
  FilterState* state;
  double* partial;  // [kCandidates][parts]
  static GENFAST_HD constexpr int64_t bytes(const RowPlan& plan) {
    return (static_cast<int64_t>(sizeof(FilterState)) + 15) / 16 * 16 + kCandidates * plan.parts * 8;
  }
  GENFAST_HD FilterShared(FilterState* s, double* p) : state(s), partial(p) {}
  GENFAST_HD explicit FilterShared(char* memory)
      : state(reinterpret_cast<FilterState*>(memory)),
        partial(reinterpret_cast<double*>(memory + (sizeof(FilterState) + 15) / 16 * 16)) {}
};

}  // namespace cuda
}  // namespace genfast
