#include "kernels/filters.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "numerics/exp_log.h"

namespace genfast {
namespace {

void weights(const RowKernels& kernels, double* out, const float* z, int64_t n, double largest) {
  kernels.weights_f32(out, z, n, largest);
}
void weights(const RowKernels& kernels, double* out, const double* z, int64_t n, double largest) {
  kernels.weights_f64(out, z, n, largest);
}
// Returns the total weight, NaN for a row without a distribution.
double total_weight(const RowKernels& kernels, const void* z, int64_t n, LogitType type, double* largest) {
  const double one = 1.0;
  double total;
  kernels.sample[static_cast<int>(type)]({z, n, 1, n, &one, false}, nullptr, 0, nullptr, largest, &total);
  return total;
}
template <class Real>
constexpr LogitType kType = sizeof(Real) == 4 ? LogitType::f32 : LogitType::f64;

// The loops below write every element and count only the kept ones: a branch on a value cannot be predicted.
template <class Real, class Keep>
void keep_if(KeptRow<Real>& kept, const Keep& keep) {
  const bool weighted = !kept.weight.empty();
  size_t to = 0;
  for (size_t from = 0; from < kept.z.size(); ++from) {
    const bool stays = keep(from);
    kept.z[to] = kept.z[from];
    kept.index[to] = kept.index[from];
    if (weighted) kept.weight[to] = kept.weight[from];
    to += stays;
  }
  kept.z.resize(to);
  kept.index.resize(to);
  if (weighted) kept.weight.resize(to);
}

// Keeps what is above the threshold and the first `ties` of its equals.
template <class Real>
void keep_above(KeptRow<Real>& kept, Real threshold, int64_t ties) {
  keep_if(kept, [&](size_t i) {
    const bool tie = kept.z[i] == threshold, stays = (kept.z[i] > threshold) | (tie & (ties > 0));
    ties -= tie;
    return stays;
  });
}

template <class Real>
void collect(const Real* z, int64_t n, Real least, KeptRow<Real>& kept) {
  constexpr int64_t kBlock = 16;
  kept.index.resize(static_cast<size_t>(n));
  kept.z.resize(static_cast<size_t>(n));
  Real* values = kept.z.data();
  int32_t* indices = kept.index.data();
  int64_t to = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, n);
    int any = 0;
    if (end - begin == kBlock)
      for (int64_t k = 0; k < kBlock; ++k) any |= z[begin + k] >= least;
    else
      any = 1;
    if (!any) continue;
    for (int64_t k = begin; k < end; ++k) {
      values[to] = z[k];
      indices[to] = static_cast<int32_t>(k);
      to += z[k] >= least;
    }
  }
  kept.index.resize(static_cast<size_t>(to));
  kept.z.resize(static_cast<size_t>(to));
}

// A value that, judging by every step-th element, some more than `count` elements reach.
template <class Real>
Real guess_threshold(const Real* z, int64_t n, int64_t count, std::vector<Real>& sample) {
  constexpr int64_t kSample = 1024;
  const int64_t step = n / kSample;
  if (step < 4) return std::numeric_limits<Real>::lowest();
  sample.clear();
  for (int64_t k = 0; k < kSample; ++k) sample.push_back(z[k * step]);
  const double expected = static_cast<double>(count) / static_cast<double>(step);
  const int64_t rank = static_cast<int64_t>(expected + 5.0 * std::sqrt(expected)) + 8;
  if (rank >= kSample) return std::numeric_limits<Real>::lowest();
  std::nth_element(sample.begin(), sample.begin() + rank, sample.end(), std::greater<Real>());
  return std::max(sample[static_cast<size_t>(rank)], std::numeric_limits<Real>::lowest());
}

template <class Real>
void keep_top_k(KeptRow<Real>& kept, int64_t k) {
  if (static_cast<int64_t>(kept.z.size()) <= k) return;
  kept.selection = kept.z;
  std::nth_element(kept.selection.begin(), kept.selection.begin() + (k - 1), kept.selection.end(), std::greater<Real>());
  const Real threshold = kept.selection[static_cast<size_t>(k - 1)];
  const auto above = std::count_if(kept.z.begin(), kept.z.end(), [&](Real x) { return x > threshold; });
  keep_above(kept, threshold, k - above);
}

// The threshold at which the weights from the largest down reach the target: by a histogram of the logits to within a bin, then
// like a quantile by partitioning. Nothing changes when they never do.
template <class Real>
void keep_top_p(KeptRow<Real>& kept, double target) {
  constexpr int kBins = 512;
  double sums[kBins] = {}, above = 0.0;
  // Past 800 below the largest no weight is left. Differences may be infinite, or so small that the scale would be.
  const Real most = static_cast<Real>(kept.largest);
  const Real range = std::min(most - *std::min_element(kept.z.begin(), kept.z.end()), Real(800));
  const Real scale = range > Real(1e-30) ? static_cast<Real>(kBins) / range : Real(0);
  const auto bin_of = [&](Real z) {
    const Real below = most - z;
    return below < range ? std::min(static_cast<int>(below * scale), kBins - 1) : kBins - 1;
  };
  for (size_t i = 0; i < kept.z.size(); ++i) sums[bin_of(kept.z[i])] += kept.weight[i];
  int bin = 0;
  while (bin < kBins - 1 && (sums[bin] == 0.0 || above + sums[bin] < target)) above += sums[bin++];
  auto& pairs = kept.pairs;
  pairs.clear();
  for (size_t i = 0; i < kept.z.size(); ++i)
    if (bin_of(kept.z[i]) == bin) pairs.emplace_back(kept.z[i], kept.weight[i]);
  size_t begin = 0, end = pairs.size();
  uint64_t random = 0x9E3779B97F4A7C15;  // a fixed sequence, so that no order of logits is slow and every run is the same
  while (begin < end) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    const Real pivot = pairs[begin + random % (end - begin)].first;
    size_t greater = begin, less = end;
    double greater_sum = 0.0, equal_sum = 0.0;
    for (size_t i = begin; i < less;) {
      if (pairs[i].first > pivot) {
        greater_sum += pairs[i].second;
        std::swap(pairs[i++], pairs[greater++]);
      } else if (pairs[i].first < pivot) {
        std::swap(pairs[i], pairs[--less]);
      } else {
        equal_sum += pairs[i++].second;
      }
    }
    if (greater > begin && above + greater_sum >= target) {
      end = greater;
    } else if (above + greater_sum + equal_sum >= target) {
      const double each = pairs[greater].second;
      double sum = above + greater_sum;
      int64_t ties = 0;
      while (sum < target && ties < static_cast<int64_t>(less - greater)) sum += each, ++ties;
      keep_above(kept, pivot, std::max<int64_t>(ties, begin == greater && above == 0.0 ? 1 : 0));
      return;
    } else {
      above += greater_sum + equal_sum;
      begin = less;
    }
  }
}

}  // namespace

template <class Real>
bool filter_row(const RowKernels& kernels, const Real* z, int64_t n, const RowFilter& filter, KeptRow<Real>& kept) {
  double most;
  const double total = total_weight(kernels, z, n, kType<Real>, &most);
  if (!(total == total)) return false;

  // Only what can pass is collected. Fewer than n weights below (1 - p) total / n do not add up to the 1 - p that top-p drops; the
  // margins cover the rounding of all that.
  const bool by_k = filter.top_k < n;
  double least = static_cast<double>(std::numeric_limits<Real>::lowest());
  if (by_k) {
    least = static_cast<double>(guess_threshold(z, n, filter.top_k, kept.selection));
  } else if (filter.top_p < 1.0) {
    least = std::max(least, most + numerics::log_f64((1.0 - filter.top_p) * total / static_cast<double>(n)) - 0.01);
  } else if (filter.min_p > 0.0) {
    least = std::max(least, most + numerics::log_f64(filter.min_p) - 0.01);
  }
  collect(z, n, static_cast<Real>(std::min(least, most)), kept);
  if (by_k) {
    if (static_cast<int64_t>(kept.z.size()) < filter.top_k) collect(z, n, std::numeric_limits<Real>::lowest(), kept);
    kept.weight.clear();
    keep_top_k(kept, filter.top_k);
  }

  kept.largest = most;
  kept.weight.resize(kept.z.size());
  weights(kernels, kept.weight.data(), kept.z.data(), static_cast<int64_t>(kept.z.size()), most);
  if (filter.top_p < 1.0) {
    double sum = total;
    if (by_k) {
      sum = 0.0;
      for (const double w : kept.weight) sum += w;
    }
    keep_top_p(kept, filter.top_p * sum);
  }
  keep_if(kept, [&](size_t i) { return (kept.weight[i] > 0.0) & (kept.weight[i] >= filter.min_p); });
  return true;
}

template bool filter_row(const RowKernels&, const float*, int64_t, const RowFilter&, KeptRow<float>&);
template bool filter_row(const RowKernels&, const double*, int64_t, const RowFilter&, KeptRow<double>&);

}  // namespace genfast
