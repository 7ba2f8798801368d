// The phases that rows-inl.h and filters-inl.h have in common: reading rows, their largest logits, their running sums. Each is a
// loop over the items of the R rows of a block with a barrier behind it.
#pragma once
#include "cuda/sampling/row_source.h"
#include "numerics/uniforms.h"

namespace genfast {
namespace cuda {

// How a block of threads shares out its rows; made on the host, the same for all blocks of a launch.
struct RowPlan {
  int64_t rows;       // of a block
  int64_t parts;      // items that read one row
  int64_t unit;       // blocks of sixteen between two marks
  int64_t marks;      // of a row
  int64_t chunk;      // blocks of sixteen whose sums wait to be added, if unit > 1
  int64_t slice;      // draws that a block of threads makes of each of its rows
  bool staged;        // the rows fit shared memory
  int64_t row_bytes;  // of shared memory, a multiple of 16
  int64_t threads;
};

// A row's part of shared memory.
template <class In>
struct RowShared {
  using T = typename In::T;
  using Real = typename In::Real;
  double* marks;
  double* sums;
  double* total;
  Real* partial;  // [parts]
  Real* most;
  T* stage;

  static GENFAST_HD constexpr int64_t bytes(const RowPlan& plan, int64_t columns) {
    const int64_t doubles = plan.marks + (plan.unit > 1 ? plan.chunk : 0) + 1;
    const int64_t stage = plan.staged ? Elements<T>::staged_size(columns) * static_cast<int64_t>(sizeof(T)) : 0;
    return (8 * doubles + static_cast<int64_t>(sizeof(Real)) * (plan.parts + 1) + stage + 15) / 16 * 16;
  }
  GENFAST_HD RowShared(char* memory, const RowPlan& plan) {
    marks = reinterpret_cast<double*>(memory);
    sums = plan.unit > 1 ? marks + plan.marks : nullptr;
    total = marks + plan.marks + (plan.unit > 1 ? plan.chunk : 0);
    partial = reinterpret_cast<Real*>(total + 1);
    most = partial + plan.parts;
    stage = reinterpret_cast<T*>(most + 1);
  }
};

// item / by and item % by; divisions of 64 bits take a device five times as long.
struct Split {
  int64_t quotient, rest;
};
GENFAST_INLINE Split split(int64_t item, int64_t by) {
  if (((item | by) >> 32) == 0) {
    const uint32_t a = static_cast<uint32_t>(item), b = static_cast<uint32_t>(by);
    return {a / b, a % b};
  }
  return {item / by, item % by};
}

// Sixteen bytes of a row.
template <class T>
struct alignas(16) Vector {
  static constexpr int kSize = 16 / sizeof(T);
  T x[kSize];
};

// partial[p] of every row, and its copy in shared memory.
template <class In, class Executor, class RowOf, class SharedOf>
GENFAST_HD void read_rows(Executor& executor, const RowPlan& plan, int64_t rows, int64_t n, const RowOf& row_of,
                          const SharedOf& shared_of) {
  using T = typename In::T;
  using Real = typename In::Real;
  executor.each(rows * plan.parts, [&](int64_t item) {
    const Split at = split(item, plan.parts);
    const int64_t r = at.quotient, part = at.rest;
    const RowShared<In> shared = shared_of(r);
    const T* from = row_of(r);
    Real most = -static_cast<Real>(__builtin_inff());
    const auto take = [&](int64_t k, T x) {
      if (plan.staged) shared.stage[Elements<T>::staged_at(k)] = x;
      const Real z = In::widen(x);
      most = z > most ? z : most;
    };
    int64_t done = 0;
    if (reinterpret_cast<uintptr_t>(from) % 16 == 0) {
      constexpr int kSize = Vector<T>::kSize;
      done = n / kSize * kSize;
      GENFAST_UNROLL(4)
      for (int64_t k = part * kSize; k < done; k += plan.parts * kSize) {
        const Vector<T> v = *reinterpret_cast<const Vector<T>*>(from + k);
        GENFAST_UNROLL(8)
        for (int i = 0; i < kSize; ++i) take(k + i, v.x[i]);
      }
    }
    for (int64_t k = done + part; k < n; k += plan.parts) take(k, from[k]);
    shared.partial[part] = most;
  });
}

// most = the largest logit / temperature: division by a positive number keeps order.
template <class In, class Executor, class SharedOf, class TemperatureOf>
GENFAST_HD void find_largest(Executor& executor, const RowPlan& plan, int64_t rows, const SharedOf& shared_of,
                             const TemperatureOf& temperature_of) {
  using Real = typename In::Real;
  int64_t parts = plan.parts;
  for (; parts > 32; parts /= 16) {
    // Item i folds i, i + parts / 16, …, which no other item reads.
    const int64_t left = parts / 16;
    executor.each(rows * left, [&](int64_t item) {
      Real* partial = shared_of(item / left).partial;
      Real most = partial[item % left];
      for (int64_t p = item % left + left; p < parts; p += left) most = partial[p] > most ? partial[p] : most;
      partial[item % left] = most;
    });
  }
  executor.each(rows, [&](int64_t r) {
    const RowShared<In> shared = shared_of(r);
    Real most = shared.partial[0];
    for (int64_t p = 1; p < parts; ++p) most = shared.partial[p] > most ? shared.partial[p] : most;
    *shared.most = most / temperature_of(r);
  });
}

// Marks and totals; NaN for a row without a distribution.
template <class In, class Executor, class SharedOf, class RowOf>
GENFAST_HD void add_up(Executor& executor, const RowPlan& plan, int64_t rows, int64_t blocks, const SharedOf& shared_of,
                       const RowOf& row_of) {
  const int64_t chunk = plan.unit > 1 ? plan.chunk : blocks;
  for (int64_t begin = 0; begin < blocks; begin += chunk) {
    const int64_t count = blocks - begin < chunk ? blocks - begin : chunk;
    executor.each(rows * count, [&](int64_t item) {
      const Split at = split(item, count);
      const int64_t r = at.quotient, b = at.rest;
      const RowShared<In> shared = shared_of(r);
      (plan.unit > 1 ? shared.sums : shared.marks)[b] = row_of(r).block_sum(begin + b);
    });
    executor.each(rows, [&](int64_t r) {
      const RowShared<In> shared = shared_of(r);
      const double* sums = plan.unit > 1 ? shared.sums : shared.marks;
      double running = begin ? *shared.total : 0.0;
      int64_t mark = units(begin, plan.unit), left = mark * plan.unit - begin;  // until the next mark
      // Eight sums at a time are on their way while one after the other is added.
      for (int64_t b = 0; b < count; b += 8) {
        double s[8];
        GENFAST_UNROLL(8)
        for (int i = 0; i < 8; ++i) s[i] = b + i < count ? sums[b + i] : 0.0;
        GENFAST_UNROLL(8)
        for (int i = 0; i < 8; ++i)
          if (b + i < count) {
            if (left-- == 0) {
              shared.marks[mark++] = running;
              left = plan.unit - 1;
            }
            running = running + s[i];
          }
      }
      if (begin + count == blocks && !In::logits && !(running > 0.0 && running <= 0x1.fffffffffffffp+1023))
        running = __builtin_nan("");
      *shared.total = running;
    });
  }
}

GENFAST_INLINE double uniform_of(const RowArgs& a, int64_t row, int64_t draw) {
  const int64_t at = row * a.u_row + draw * a.u_draw;
  if (a.u64) return a.u64[at];
  if (a.u32) return static_cast<double>(a.u32[at]);
  const numerics::PhiloxBlock b =
      uniform_block(a.seed, static_cast<uint64_t>(row), static_cast<uint64_t>(draw) / 2, kUniformDomainF64);
  return draw % 2 ? uniform_f64(b.word[2], b.word[3]) : uniform_f64(b.word[0], b.word[1]);
}

template <class T>
GENFAST_INLINE T of_row(const OfRow<T>& p, int64_t row) {
  return p.data ? p.data[row] : p.value;
}

}  // namespace cuda
}  // namespace genfast
