// The categories that filters keep, as kernels/filters.cc finds them: addition by addition, on one thread, for the rare rows in
// which the order of additions decides. Also where a block's list lies in the workspace, and the order of floats as integers.
#pragma once
#include "cuda/sampling/row_source.h"

namespace genfast {
namespace cuda {

template <class Real>
struct KeptOf {
  using In = LogitsF64;
};
template <>
struct KeptOf<float> {
  using In = LogitsF32;
};

// Integers in the order of floats; -0 and 0 are one.
GENFAST_INLINE uint64_t key_of(float z) {
  const uint32_t b = numerics::to_bits(z + 0.0f);
  return b ^ (b >> 31 ? 0xffffffffu : 0x80000000u);
}
GENFAST_INLINE uint64_t key_of(double z) {
  const uint64_t b = numerics::to_bits(z + 0.0);
  return b ^ (b >> 63 ? 0xffffffffffffffffu : 0x8000000000000000u);
}
GENFAST_INLINE float real_of(uint64_t key, float) {
  const uint32_t k = static_cast<uint32_t>(key);
  return numerics::from_bits(k ^ (k >> 31 ? 0x80000000u : 0xffffffffu));
}
GENFAST_INLINE double real_of(uint64_t key, double) {
  return numerics::from_bits(key ^ (key >> 63 ? uint64_t{0x8000000000000000u} : uint64_t{0xffffffffffffffffu}));
}

// The largest x that at least k of x_of(0 … count) reach, 0 < k <= count.
template <class Real, class XOf>
GENFAST_HD Real kth_largest(int64_t count, int64_t k, const XOf& x_of) {
  uint64_t low = 0, high = ~uint64_t{0};
  if (sizeof(Real) == 4) high >>= 32;
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    int64_t reach = 0;
    for (int64_t i = 0; i < count; ++i) reach += key_of(x_of(i)) >= middle;
    if (reach >= k)
      low = middle;
    else
      high = middle;
  }
  return real_of(low, Real());
}

constexpr int64_t kUnsureSlots = 4;  // lists of rows taken alone
constexpr int kBins = 512;           // of its histogram

GENFAST_INLINE int64_t padded(int64_t bytes) { return (bytes + 15) / 16 * 16; }
// What a list takes: the logits kept and their indices. What the list of a row taken alone does: weights and pairs besides.
template <class Real>
GENFAST_INLINE int64_t list_bytes(int64_t n) {
  return padded(n * static_cast<int64_t>(sizeof(Real))) + padded(n * 4);
}
template <class Real>
GENFAST_INLINE int64_t unsure_bytes(int64_t n) {
  return list_bytes<Real>(n) + padded(n * static_cast<int64_t>(sizeof(Real))) + 2 * padded(n * 8) + kBins * 8;
}
template <class Real>
GENFAST_INLINE Real* kept_z(const RowArgs& a, int64_t slot) {
  return reinterpret_cast<Real*>(static_cast<char*>(a.workspace) + slot * list_bytes<Real>(a.columns));
}
template <class Real>
GENFAST_INLINE int32_t* kept_index(const RowArgs& a, int64_t slot) {
  return reinterpret_cast<int32_t*>(reinterpret_cast<char*>(kept_z<Real>(a, slot)) +
                                    padded(a.columns * static_cast<int64_t>(sizeof(Real))));
}

template <class Real>
struct KeptRow {
  Real* z;
  int32_t* index;
  double* weight;
  Real* pair_z;
  double* pair_weight;
  double* sums;  // [kBins]

  GENFAST_HD KeptRow(const RowArgs& a, int64_t slot)
      : KeptRow(static_cast<char*>(a.workspace) + a.slots * list_bytes<Real>(a.columns) + slot * unsure_bytes<Real>(a.columns),
                a.columns) {}
  // at: unsure_bytes(n).
  GENFAST_HD KeptRow(char* at, int64_t n) {
    z = reinterpret_cast<Real*>(at);
    index = reinterpret_cast<int32_t*>(at += padded(n * static_cast<int64_t>(sizeof(Real))));
    weight = reinterpret_cast<double*>(at += padded(n * 4));
    pair_weight = reinterpret_cast<double*>(at += padded(n * 8));
    sums = reinterpret_cast<double*>(at += padded(n * 8));
    pair_z = reinterpret_cast<Real*>(at + kBins * 8);
  }

  // Keeps what is over the threshold and the first `ties` of its equals, of `count`. Returns how many.
  GENFAST_HD int64_t keep_above(int64_t count, Real threshold, int64_t ties) const {
    int64_t to = 0;
    for (int64_t i = 0; i < count; ++i) {
      const bool tie = z[i] == threshold, stays = z[i] > threshold || (tie && ties > 0);
      if (tie) --ties;
      if (!stays) continue;
      z[to] = z[i];
      index[to] = index[i];
      weight[to] = weight[i];
      ++to;
    }
    return to;
  }

  GENFAST_HD int64_t keep_top_k(int64_t count, int64_t k) const {
    if (count <= k) return count;
    const Real threshold = kth_largest<Real>(count, k, [this](int64_t i) { return z[i]; });
    int64_t above = 0;
    for (int64_t i = 0; i < count; ++i) above += z[i] > threshold;
    return keep_above(count, threshold, k - above);
  }

  // As keep_top_p() of kernels/filters.cc, whose comments explain it.
  GENFAST_HD int64_t keep_top_p(int64_t count, Real most, double target) const {
    double above = 0.0;
    for (int i = 0; i < kBins; ++i) sums[i] = 0.0;
    Real least = z[0];
    for (int64_t i = 1; i < count; ++i) least = z[i] < least ? z[i] : least;
    const Real range = Real(800) < most - least ? Real(800) : most - least;
    const Real scale = range > Real(1e-30) ? static_cast<Real>(kBins) / range : Real(0);
    const auto bin_of = [&](Real x) {
      const Real below = most - x;
      if (!(below < range)) return kBins - 1;
      const int bin = static_cast<int>(below * scale);
      return bin < kBins - 1 ? bin : kBins - 1;
    };
    for (int64_t i = 0; i < count; ++i) {
      const int bin = bin_of(z[i]);
      sums[bin] = sums[bin] + weight[i];
    }
    int bin = 0;
    while (bin < kBins - 1 && (sums[bin] == 0.0 || above + sums[bin] < target)) {
      above = above + sums[bin];
      ++bin;
    }
    int64_t begin = 0, end = 0;
    for (int64_t i = 0; i < count; ++i)
      if (bin_of(z[i]) == bin) {
        pair_z[end] = z[i];
        pair_weight[end++] = weight[i];
      }
    const auto swap = [&](int64_t i, int64_t j) {
      const Real x = pair_z[i];
      const double w = pair_weight[i];
      pair_z[i] = pair_z[j];
      pair_weight[i] = pair_weight[j];
      pair_z[j] = x;
      pair_weight[j] = w;
    };
    uint64_t random = 0x9E3779B97F4A7C15;
    while (begin < end) {
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      const Real pivot = pair_z[begin + static_cast<int64_t>(random % static_cast<uint64_t>(end - begin))];
      int64_t greater = begin, less = end;
      double greater_sum = 0.0, equal_sum = 0.0;
      for (int64_t i = begin; i < less;) {
        if (pair_z[i] > pivot) {
          greater_sum = greater_sum + pair_weight[i];
          swap(i++, greater++);
        } else if (pair_z[i] < pivot) {
          swap(i, --less);
        } else {
          equal_sum = equal_sum + pair_weight[i++];
        }
      }
      if (greater > begin && above + greater_sum >= target) {
        end = greater;
      } else if (above + greater_sum + equal_sum >= target) {
        const double each = pair_weight[greater];
        double sum = above + greater_sum;
        int64_t ties = 0;
        while (sum < target && ties < less - greater) sum = sum + each, ++ties;
        const int64_t fewest = begin == greater && above == 0.0 ? 1 : 0;
        return keep_above(count, pivot, ties > fewest ? ties : fewest);
      } else {
        above = above + (greater_sum + equal_sum);
        begin = less;
      }
    }
    return count;
  }

  // Returns how many of the row's categories are kept; their logits and indices are in z and index. row: a Row, or what has its
  // elements, most and tempered(). total: the row's.
  template <class AnyRow>
  GENFAST_HD int64_t filter(const AnyRow& row, int64_t top_k, double top_p, double min_p, double total) const {
    const int64_t n = row.elements.n;
    const Real lowest = sizeof(Real) == 4 ? Real(-0x1.fffffep+127f) : Real(-0x1.fffffffffffffp+1023);
    const bool by_k = top_k < n;
    double least = static_cast<double>(lowest);
    if (!by_k && (top_p < 1.0 || min_p > 0.0)) {
      const double bound = static_cast<double>(row.most) +
                           numerics::log_f64(top_p < 1.0 ? (1.0 - top_p) * total / static_cast<double>(n) : min_p) - 0.01;
      if (bound > least) least = bound;
    }
    if (static_cast<double>(row.most) < least) least = static_cast<double>(row.most);
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i) {
      const Real x = row.tempered(row.elements[i]);
      if (!(x >= static_cast<Real>(least))) continue;
      z[count] = x;
      index[count++] = static_cast<int32_t>(i);
    }
    if (by_k) count = keep_top_k(count, top_k);
    for (int64_t i = 0; i < count; ++i) weight[i] = static_cast<double>(row_weight(z[i] - row.most));
    if (top_p < 1.0) {
      double sum = total;
      if (by_k) {
        sum = 0.0;
        for (int64_t i = 0; i < count; ++i) sum = sum + weight[i];
      }
      count = keep_top_p(count, row.most, top_p * sum);
    }
    int64_t to = 0;
    for (int64_t i = 0; i < count; ++i) {
      if (!(weight[i] > 0.0 && weight[i] >= min_p)) continue;
      z[to] = z[i];
      index[to++] = index[i];
    }
    return to;
  }
};

}  // namespace cuda
}  // namespace genfast
