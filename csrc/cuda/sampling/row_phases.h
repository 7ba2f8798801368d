// The phases that rows-inl.h and filters-inl.h have in common: reading rows, their largest logits, their running sums. Each is a
// loop over the items of the R rows of a block with a barrier behind it.
#pragma once
#include "cuda/sampling/row_source.h"
#include "numerics/uniforms.h"

namespace genfast {
namespace cuda {

constexpr int kRowThreads = 512, kFilterThreads = 256;  // the most a block has

// How a block of threads shares out its rows; made on the host, the same for all blocks of a launch.
struct RowPlan {
  int64_t rows;       // of a block
  int64_t parts;      // items that read one row
  int64_t unit;       // blocks of sixteen between two marks
  int64_t marks;      // of a row
  int64_t chunk;      // blocks of sixteen whose sums wait to be added, if unit > 1
  int64_t segments;   // in which the sums are added at the same time, or 0: one after the other
  int64_t slice;      // draws that a block of threads makes of each of its rows
  int64_t staged;     // categories of a row that are kept in shared memory
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
  double* segment;  // [segments]
  double* total;
  int64_t* unsure;  // whether a draw is left to the sums of the CPU
  Real* partial;    // [parts]
  Real* most;
  T* stage;

  static GENFAST_HD constexpr int64_t bytes(const RowPlan& plan) {
    const int64_t doubles = plan.marks + (plan.unit > 1 ? plan.chunk : 0) + plan.segments + 2;
    const int64_t stage = Elements<T>::staged_size(plan.staged) * static_cast<int64_t>(sizeof(T));
    return (8 * doubles + static_cast<int64_t>(sizeof(Real)) * (plan.parts + 1) + stage + 15) / 16 * 16;
  }
  GENFAST_HD RowShared(char* memory, const RowPlan& plan) {
    marks = reinterpret_cast<double*>(memory);
    sums = plan.unit > 1 ? marks + plan.marks : nullptr;
    segment = marks + plan.marks + (plan.unit > 1 ? plan.chunk : 0);
    total = segment + plan.segments;
    unsure = reinterpret_cast<int64_t*>(total + 1);
    partial = reinterpret_cast<Real*>(unsure + 1);
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
      if (k < plan.staged) shared.stage[Elements<T>::staged_at(k)] = x;
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

// use(i, x[i]) for i < n, one after the other: eight numbers are on their way while the eight before them are used.
template <class Use>
GENFAST_HD void in_order(const double* x, int64_t n, const Use& use) {
  double now[8], ahead[8];
  GENFAST_UNROLL(8)
  for (int i = 0; i < 8; ++i) ahead[i] = i < n ? x[i] : 0.0;
  for (int64_t k = 0; k < n; k += 8) {
    GENFAST_UNROLL(8)
    for (int i = 0; i < 8; ++i) now[i] = ahead[i];
    GENFAST_UNROLL(8)
    for (int i = 0; i < 8; ++i) ahead[i] = k + 8 + i < n ? x[k + 8 + i] : 0.0;
    GENFAST_UNROLL(8)
    for (int i = 0; i < 8; ++i)
      if (k + i < n) use(k + i, now[i]);
  }
}

// Marks and totals as the CPU's, one sum after the other; NaN for a row without a distribution.
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
      in_order(sums, count, [&](int64_t, double sum) {
        if (left-- == 0) {
          shared.marks[mark++] = running;
          left = plan.unit - 1;
        }
        running = running + sum;
      });
      if (begin + count == blocks && !In::logits && !(running > 0.0 && running <= 0x1.fffffffffffffp+1023))
        running = __builtin_nan("");
      *shared.total = running;
    });
  }
}

// The same, up to rounding, in plan.segments at a time: for rows so long that a chain of additions takes longer than all else. One
// block of sixteen a mark.
template <class In, class Executor, class SharedOf, class RowOf>
GENFAST_HD void add_up_apart(Executor& executor, const RowPlan& plan, int64_t rows, int64_t blocks, const SharedOf& shared_of,
                             const RowOf& row_of) {
  executor.each(rows * blocks, [&](int64_t item) {
    const Split at = split(item, blocks);
    shared_of(at.quotient).marks[at.rest] = row_of(at.quotient).block_sum(at.rest);
  });
  // An odd length keeps the segments' threads in banks of their own.
  const int64_t length = units(blocks, plan.segments) | 1;
  executor.each(rows * plan.segments, [&](int64_t item) {
    const Split at = split(item, plan.segments);
    const RowShared<In> shared = shared_of(at.quotient);
    double sum = 0.0;
    for (int64_t b = at.rest * length; b < (at.rest + 1) * length && b < blocks; ++b) sum = sum + shared.marks[b];
    shared.segment[at.rest] = sum;
  });
  executor.each(rows, [&](int64_t r) {
    const RowShared<In> shared = shared_of(r);
    double running = 0.0;
    for (int64_t s = 0; s < plan.segments; ++s) {
      const double sum = shared.segment[s];
      shared.segment[s] = running;
      running = running + sum;
    }
    *shared.total = running;
    *shared.unsure = 0;
  });
  executor.each(rows * plan.segments, [&](int64_t item) {
    const Split at = split(item, plan.segments);
    const RowShared<In> shared = shared_of(at.quotient);
    double running = shared.segment[at.rest];
    for (int64_t b = at.rest * length; b < (at.rest + 1) * length && b < blocks; ++b) {
      const double sum = shared.marks[b];
      shared.marks[b] = running;
      running = running + sum;
    }
  });
}

constexpr int64_t kUnsure = -2;  // the level of a draw that is not settled yet

// Several draws of a row may do so in one phase.
GENFAST_INLINE void note_unsure(int64_t* unsure) {
#if defined(__CUDA_ARCH__)
  atomicExch(reinterpret_cast<unsigned long long*>(unsure), 1ull);
#else
  __atomic_store_n(unsure, 1, __ATOMIC_RELAXED);
#endif
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
