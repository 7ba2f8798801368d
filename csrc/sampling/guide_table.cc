#include "sampling/guide_table.h"

#include <algorithm>
#include <limits>

namespace genfast {
namespace {

constexpr int64_t kFold = 16;  // as in kernels/logits-inl.h

double target_of(double u, double total) {
  const double product = u * total;
  return product > 0.0 ? product : std::numeric_limits<double>::denorm_min();
}

}  // namespace

double cumulative_weights(const double* weights, int64_t n, double* out) {
  double running = 0.0;
  for (int64_t begin = 0; begin < n; begin += kFold) {
    const int64_t count = std::min(kFold, n - begin);
    const double* w = weights + begin;
    double fold[kFold] = {};
    std::copy(w, w + count, fold);
    for (int64_t step = kFold / 2; step; step /= 2)
      for (int64_t i = 0; i < step; ++i) fold[i] = fold[i] + fold[i + step];
    const double end = running + fold[0];
    // One by one, the weights may add up to more or less than their block's sum, which decides.
    int64_t last = 0;
    for (int64_t i = 0; i < count; ++i) {
      running += w[i];
      out[begin + i] = std::min(running, end);
      if (w[i] > 0.0) last = i;
    }
    std::fill(out + begin + last, out + begin + count, end);
    running = end;
  }
  return running;
}

GuideTable::GuideTable(const double* weights, int64_t n)
    : cumulative_(AlignedBuffer<double>::uninitialised(static_cast<size_t>(n))),
      total_(cumulative_weights(weights, n, cumulative_.data())),
      valid_(total_ > 0.0 && total_ <= std::numeric_limits<double>::max()) {
  if (!valid_) return;
  // Four entries a category make most answers the guide's own or the next; beyond the caches that is not worth its memory.
  const int64_t wanted = n <= (1 << 16) ? 4 * n : n;
  size_t size = 1;
  while (static_cast<int64_t>(size) < wanted && size < size_t{1} << 31) size *= 2;
  guide_ = AlignedBuffer<int32_t>::uninitialised(size);
  int32_t k = 0;
  for (size_t j = 0; j < size; ++j) {
    const double target = target_of(static_cast<double>(j) / static_cast<double>(size), total_);
    while (cumulative_[static_cast<size_t>(k)] < target) ++k;
    guide_[j] = k;
  }
}

void GuideTable::find(const double* u, int64_t n, int64_t* out, int64_t stride) const {
  const double* cumulative = cumulative_.data();
  const int32_t* guide = guide_.data();
  const double size = static_cast<double>(guide_.size()), total = total_;
  const int64_t last = static_cast<int64_t>(guide_.size()) - 1;
  for (int64_t i = 0; i < n; ++i) {
    const double target = target_of(u[i], total);
    int64_t k = guide[std::min(static_cast<int64_t>(u[i] * size), last)];
    k += cumulative[k] < target;  // counted, because they cannot be predicted; more than two steps are rare
    k += cumulative[k] < target;
    while (cumulative[k] < target) ++k;
    out[i * stride] = k;
  }
}

}  // namespace genfast
