// Which categories of a row top-k, top-p and min-p keep, for whoever draws from rows of logits: sampling/rows.cc and the engine's
// heads. It works on tempered logits, finds thresholds by selection (no sort), draws nothing, and is no kernel: it calls them.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/kernels.h"

namespace genfast {

// Off: top_k = INT64_MAX, top_p = 1, min_p = 0.
struct RowFilter {
  int64_t top_k;
  double top_p, min_p;
};

// The categories kept, in index order, and working memory that a caller keeps from row to row.
template <class Real>
struct KeptRow {
  std::vector<int32_t> index;
  std::vector<Real> z;
  std::vector<double> weight;
  double largest = 0.0;

  std::vector<Real> selection;
  std::vector<std::pair<Real, double>> pairs;
};

// Fills `kept` from a row's tempered logits z[0 … n). Order: top-k (the k largest), top-p (the fewest largest whose weights reach
// top_p of what is left), min-p (weights of at least min_p of the largest); among equals the lower index is kept first. Categories
// of weight 0 go. False for a row without a distribution: NaN, +inf or all -inf.
template <class Real>
bool filter_row(const RowKernels& kernels, const Real* z, int64_t n, const RowFilter& filter, KeptRow<Real>& kept);

extern template bool filter_row(const RowKernels&, const float*, int64_t, const RowFilter&, KeptRow<float>&);
extern template bool filter_row(const RowKernels&, const double*, int64_t, const RowFilter&, KeptRow<double>&);

}  // namespace genfast
