// Elements of a row: where they lie, how they are read sixteen at a time, and the weights they stand for. What rows-inl.h and
// filters-inl.h are written in.
#pragma once
#include <cstdint>

#include "cuda/sampling/rows.h"
#include "numerics/exp_log.h"

namespace genfast {
namespace cuda {

constexpr int kRowBlock = 16;  // categories summed before they join the running sum

struct LogitsF32 {
  using T = float;
  using Real = float;
  static constexpr bool logits = true;
  static GENFAST_HD Real widen(T x) { return x; }
};
struct LogitsF64 {
  using T = double;
  using Real = double;
  static constexpr bool logits = true;
  static GENFAST_HD Real widen(T x) { return x; }
};
struct LogitsBf16 {
  using T = uint16_t;
  using Real = float;
  static constexpr bool logits = true;
  static GENFAST_HD Real widen(T x) { return numerics::from_bits(uint32_t{x} << 16); }
};
struct LogitsF16 {
  using T = uint16_t;
  using Real = float;
  static constexpr bool logits = true;
  // Exponent and fraction read as a float are 2^112 times too small; infinities and NaNs then lack the rest of their exponent.
  static GENFAST_HD Real widen(T h) {
    const float size = numerics::from_bits((uint32_t{h} & 0x7fff) << 13) * 0x1p112f;
    const float finite = size >= 65536.0f ? numerics::bits_or(size, uint32_t{0x7f800000}) : size;
    return numerics::bits_or(finite, (uint32_t{h} & 0x8000) << 16);
  }
};
struct WeightsF32 : LogitsF32 {
  static constexpr bool logits = false;
};
struct WeightsF64 : LogitsF64 {
  static constexpr bool logits = false;
};

GENFAST_INLINE float row_weight(float exponent) { return numerics::exp_nonpositive_f32(exponent); }
GENFAST_INLINE double row_weight(double exponent) { return numerics::exp_nonpositive_f64(exponent); }

// Elements of one row, in global memory; the first of them, a multiple of sixteen or all, staged in shared memory with a gap behind
// every sixteen, so that threads that read neighbouring blocks meet in no bank.
template <class T>
struct Elements {
  static constexpr int kGap = sizeof(T) < 4 ? 4 / sizeof(T) : 1;
  const T* data;
  const T* stage;
  int64_t n, staged;

  static constexpr GENFAST_HD int64_t staged_size(int64_t n) { return (n + kRowBlock - 1) / kRowBlock * (kRowBlock + kGap); }
  static GENFAST_HD int64_t staged_at(int64_t k) { return k + k / kRowBlock * kGap; }
  GENFAST_HD T operator[](int64_t k) const { return k < staged ? stage[staged_at(k)] : data[k]; }
  GENFAST_HD const T* block(int64_t b) const {
    return b * kRowBlock < staged ? stage + b * (kRowBlock + kGap) : data + b * kRowBlock;
  }
};

// A row and what its weights depend on.
template <class In>
struct Row {
  using T = typename In::T;
  using Real = typename In::Real;
  Elements<T> elements;
  Real temperature, most;

  GENFAST_HD int64_t blocks() const { return (elements.n + kRowBlock - 1) / kRowBlock; }
  GENFAST_HD Real tempered(T x) const {
    const Real z = In::widen(x);
    return temperature == Real(1) ? z : z / temperature;
  }
  GENFAST_HD double weight(T x) const {
    if constexpr (In::logits) {
      return static_cast<double>(row_weight(tempered(x) - most));
    } else {
      return static_cast<double>(x);
    }
  }
  // Past the end of the row a weight is 0. A row with a weight that is none has no sums: NaN, as from a logit that is NaN.
  GENFAST_HD void weights(int64_t b, double (&w)[kRowBlock]) const {
    const T* from = elements.block(b);
    const int64_t left = elements.n - b * kRowBlock;
    if (left >= kRowBlock) {
      alignas(16) T x[kRowBlock];
#if defined(__CUDA_ARCH__)
      // Rows that allow it are read sixteen bytes at a time.
      if (b * kRowBlock >= elements.staged && reinterpret_cast<uintptr_t>(from) % 16 == 0) {
        GENFAST_UNROLL(8)
        for (int i = 0; i < static_cast<int>(sizeof x / 16); ++i)
          reinterpret_cast<uint4*>(x)[i] = reinterpret_cast<const uint4*>(from)[i];
      } else
#endif
      {
        GENFAST_UNROLL(16)
        for (int i = 0; i < kRowBlock; ++i) x[i] = from[i];
      }
      GENFAST_UNROLL(16)
      for (int i = 0; i < kRowBlock; ++i) w[i] = weight(x[i]);
    } else {
      GENFAST_UNROLL(16)
      for (int i = 0; i < kRowBlock; ++i) w[i] = i < left ? weight(from[i]) : 0.0;
    }
    if constexpr (!In::logits) {
      GENFAST_UNROLL(16)
      for (int i = 0; i < kRowBlock; ++i) w[i] = w[i] >= 0.0 ? w[i] : static_cast<double>(__builtin_nan(""));
    }
  }
  // Lanes i and i + 8, then 4, 2, 1.
  static GENFAST_HD double fold(double (&w)[kRowBlock]) {
    GENFAST_UNROLL(4)
    for (int step = kRowBlock / 2; step; step /= 2) {
      GENFAST_UNROLL(8)
      for (int i = 0; i < step; ++i) w[i] = w[i] + w[i + step];
    }
    return w[0];
  }
  GENFAST_HD double block_sum(int64_t b) const {
    double w[kRowBlock];
    weights(b, w);
    return fold(w);
  }
};

// The running sums that a search starts from: marks[j] is the sum of all that is before block j * unit.
struct Marks {
  const double* marks;
  int64_t unit;
};

GENFAST_INLINE int64_t units(int64_t blocks, int64_t unit) { return (blocks + unit - 1) / unit; }

// The category that the target, u * total, falls into. `error` bounds what marks, totals and targets may be off by; where it could
// change the answer, *unsure is set. It is 0 for marks that are the CPU's.
template <class In>
GENFAST_HD int64_t category(const Row<In>& row, const Marks& marks, double target, double error, bool* unsure) {
  const int64_t blocks = row.blocks();
  const double least = target - error, most = target + error;
  bool close = false;
  int64_t low = 0, high = units(blocks, marks.unit);  // marks[low] < target or low is 0, and not so from high on
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (marks.marks[middle] < target)
      low = middle;
    else
      high = middle;
  }
  double running = marks.marks[low];
  close |= low > 0 && running >= least;
  close |= high < units(blocks, marks.unit) && marks.marks[high] <= most;
  int64_t b = low * marks.unit;
  const int64_t end = b + marks.unit < blocks ? b + marks.unit : blocks;
  for (; b + 1 < end; ++b) {
    const double next = running + row.block_sum(b);
    close |= next >= least && next <= most;
    if (!(next < target)) break;
    running = next;
  }
  double w[kRowBlock];
  row.weights(b, w);
  int below = 0, last = 0;
  GENFAST_UNROLL(16)
  for (int i = 0; i < kRowBlock; ++i) {
    running += w[i];
    below += running < target;
    close |= running >= least && running <= most;
    if (w[i] > 0.0) last = i;
  }
  *unsure = close && error > 0.0;
  // Rounding may leave the sum of the weights, one by one, short of the block's.
  return b * kRowBlock + (below == kRowBlock ? last : below);
}

// Raising a target of 0 to the smallest positive number asks for the first category with any weight, and changes no other answer.
GENFAST_INLINE double least_target(double product) { return product > 0.0 ? product : 0x1p-1074; }

}  // namespace cuda
}  // namespace genfast
