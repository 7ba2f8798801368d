// Rows that are filtered: which categories top-k, top-p and min-p keep (the rule is kernels/filters.h's), and draws from those. A
// threshold is found by a search on the bits of the logits: seven candidates a pass, counted or weighed by all threads. A block of
// threads takes one row at a time and lists what is kept in its slot of the workspace.
//
// Weights are added in another order than on the CPU. Where that could change the answer the row is left to UnsureProgram, which
// follows the CPU addition by addition, on one thread; so the answers are always the CPU's.
#pragma once
#include "cuda/sampling/filter_shared.h"
#include "cuda/sampling/kept_row.h"
#include "cuda/sampling/row_phases.h"

namespace genfast {
namespace cuda {

// partial[j][·] of every part, for j < count, folded into partial[j]; parts is a power of 16, and the order fixed.
template <class Executor>
GENFAST_HD void fold_partials(Executor& executor, int64_t parts, int count, double* partial) {
  for (int64_t left = parts / 16; parts > 1; parts = left, left = parts / 16) {
    executor.each(count * left, [&](int64_t item) {
      double* p = partial + item / left * parts;
      double sum = p[item % left];
      for (int64_t i = item % left + left; i < parts; i += left) sum = sum + p[i];
      p[item % left] = sum;
    });
    // The sums of the next pass lie closer: where none of this one are, as count < 16.
    executor.each((count - 1) * left, [&](int64_t item) {
      const int64_t j = 1 + item / left, i = item % left;
      partial[j * left + i] = partial[j * parts + i];
    });
  }
}

// Lists the elements that the search has not passed judgement on, and sums up those over them.
template <class Real, class Executor, class ZOf>
GENFAST_HD void list_open(Executor& executor, int64_t parts, int64_t n, const FilterShared& shared, const ZOf& z_of, Real* list) {
  FilterState* state = shared.state;
  const int64_t length = (n + parts - 1) / parts;
  double *open = shared.partial, *over = shared.partial + parts;
  executor.each(parts, [&](int64_t part) {
    const Real low = real_of(state->search.low, Real()), high = real_of(state->search.high, Real());
    const int64_t end = (part + 1) * length < n ? (part + 1) * length : n;
    double inside = 0.0, beyond = 0.0;
    for (int64_t i = part * length; i < end; ++i) {
      const Real z = z_of(i);
      inside = inside + (z >= low && z < high ? 1.0 : 0.0);
      beyond = beyond + (z >= high ? 1.0 : 0.0);
    }
    open[part] = inside;
    over[part] = beyond;
  });
  executor.each(1, [&](int64_t) {
    double before = 0.0, beyond = 0.0;
    for (int64_t part = 0; part < parts; ++part) {
      const double inside = open[part];
      open[part] = before;
      before = before + inside;
      beyond = beyond + over[part];
    }
    state->listed = static_cast<int64_t>(before);
    state->base = state->top;
    state->base_count = beyond;
  });
  executor.each(parts, [&](int64_t part) {
    const Real low = real_of(state->search.low, Real()), high = real_of(state->search.high, Real());
    const int64_t end = (part + 1) * length < n ? (part + 1) * length : n;
    int64_t to = static_cast<int64_t>(open[part]);
    for (int64_t i = part * length; i < end; ++i) {
      const Real z = z_of(i);
      if (z >= low && z < high) list[to++] = z;
    }
  });
}

// The largest threshold from which on the measures of z_of(0 … n) add up to `goal`; state.search says where to look, and its low
// end must reach the goal. measure(z) is what an element counts. After a few passes what is still open is listed, if there is a
// list.
template <class Real, class Executor, class ZOf, class Measure>
GENFAST_HD void find_threshold(Executor& executor, int64_t parts, int64_t n, double goal, const FilterShared& shared,
                               const ZOf& z_of, const Measure& measure, Real* list) {
  constexpr int kWholePasses = 3;  // which narrow the threshold down to about a binary order of magnitude
  FilterState* state = shared.state;
  bool listed = false;
  const auto element = [&](int64_t i) { return listed ? list[i] : z_of(i); };
  executor.each(1, [&](int64_t) { state->top = state->base = state->base_count = 0.0; });
  for (int pass = 0; state->search.high - state->search.low > 1; ++pass) {
    if (pass == kWholePasses && list) {
      list_open(executor, parts, n, shared, z_of, list);
      listed = true;
      n = state->listed;
    }
    executor.each(parts, [&](int64_t part) {
      Real candidate[kCandidates];
      double sum[kCandidates];
      GENFAST_UNROLL(7)
      for (int j = 0; j < kCandidates; ++j) {
        candidate[j] = real_of(state->search.candidate(j + 1), Real());
        sum[j] = 0.0;
      }
      for (int64_t i = part; i < n; i += parts) {
        const Real z = element(i);
        const double m = measure(z);
        GENFAST_UNROLL(7)
        for (int j = 0; j < kCandidates; ++j) sum[j] = sum[j] + (z >= candidate[j] ? m : 0.0);
      }
      GENFAST_UNROLL(7)
      for (int j = 0; j < kCandidates; ++j) shared.partial[j * parts + part] = sum[j];
    });
    fold_partials(executor, parts, kCandidates, shared.partial);
    executor.each(1, [&](int64_t) {
      const Search search = state->search;
      int j = 0;
      while (j < kCandidates && state->base + shared.partial[j] >= goal) ++j;
      if (j < kCandidates) state->top = state->base + shared.partial[j];
      state->search = {search.candidate(j), search.candidate(j + 1)};
    });
  }
  // What lies over the threshold, and from it on: counts, then measures.
  executor.each(parts, [&](int64_t part) {
    const Real threshold = real_of(state->search.low, Real());
    double sum[4] = {0.0, 0.0, 0.0, 0.0};
    for (int64_t i = part; i < n; i += parts) {
      const Real z = element(i);
      const double m = measure(z);
      sum[0] = sum[0] + (z > threshold ? 1.0 : 0.0);
      sum[1] = sum[1] + (z >= threshold ? 1.0 : 0.0);
      sum[2] = sum[2] + (z > threshold ? m : 0.0);
      sum[3] = sum[3] + (z >= threshold ? m : 0.0);
    }
    for (int j = 0; j < 4; ++j) shared.partial[j * parts + part] = sum[j];
  });
  fold_partials(executor, parts, 4, shared.partial);
  executor.each(1, [&](int64_t) {
    state->threshold = static_cast<double>(real_of(state->search.low, Real()));
    state->count_above = state->base_count + shared.partial[0];
    state->ties = shared.partial[1] - shared.partial[0];
    state->above = state->base + shared.partial[2];
    state->reached = state->base + shared.partial[3];
  });
}

// How many equals of the threshold top-p keeps, and whether that is certain: `error` bounds what the sums may be off by.
GENFAST_HD inline void settle_top_p(FilterState* state, double each, double error) {
  const double target = state->target, base = state->above;
  if (!(target > 0.0)) {
    state->ties = 1.0;  // the first of the largest
    return;
  }
  const bool top = state->count_above == 0.0;
  const double margin = top ? 0.0 : error;
  if (!top && !(base + error < target)) state->unsure = true;
  if (top) {
    // Weights of 1: their sums are exact. A target that only rounding could miss is the CPU's to decide.
    if (!(state->reached >= target)) state->unsure = true;
  } else if (!(state->reached - error >= target)) {
    state->unsure = true;
  }
  double kept = numerics::floor((target - base) / each);
  if (kept < 1.0) kept = 1.0;
  if (kept > state->ties) kept = state->ties;
  while (kept < state->ties && base + kept * each < target) kept = kept + 1.0;
  while (kept > 1.0 && base + (kept - 1.0) * each >= target) kept = kept - 1.0;
  if (kept < state->ties && !(base + kept * each - margin >= target)) state->unsure = true;
  if (kept > 1.0 && !(base + (kept - 1.0) * each + margin < target)) state->unsure = true;
  state->ties = kept;
}

// Lists the elements over the threshold, `ties` of its equals (the first), and of those the ones that `passes` lets through.
template <class Real, class Executor, class ZOf, class Passes>
GENFAST_HD void list_kept(Executor& executor, int64_t parts, int64_t n, const FilterShared& shared, const ZOf& z_of,
                          const Passes& passes, Real* z, int32_t* index) {
  FilterState* state = shared.state;
  const int64_t length = (n + parts - 1) / parts;
  double *over = shared.partial, *equal = shared.partial + parts;
  executor.each(parts, [&](int64_t part) {
    const Real threshold = static_cast<Real>(state->threshold);
    const int64_t end = (part + 1) * length < n ? (part + 1) * length : n;
    double greater = 0.0, same = 0.0;
    for (int64_t i = part * length; i < end; ++i) {
      const Real x = z_of(i);
      if (x > threshold && passes(x)) greater = greater + 1.0;
      if (x == threshold && passes(x)) same = same + 1.0;
    }
    over[part] = greater;
    equal[part] = same;
  });
  executor.each(1, [&](int64_t) {
    double before = 0.0, equal_before = 0.0;
    for (int64_t part = 0; part < parts; ++part) {
      const double greater = over[part], same = equal[part];
      over[part] = before;
      equal[part] = equal_before;
      before = before + greater;
      equal_before = equal_before + same;
    }
    state->kept = static_cast<int64_t>(before + (equal_before < state->ties ? equal_before : state->ties));
  });
  executor.each(parts, [&](int64_t part) {
    const Real threshold = static_cast<Real>(state->threshold);
    const int64_t end = (part + 1) * length < n ? (part + 1) * length : n, ties = static_cast<int64_t>(state->ties);
    int64_t rank = static_cast<int64_t>(equal[part]);
    int64_t to = static_cast<int64_t>(over[part]) + (rank < ties ? rank : ties);
    for (int64_t i = part * length; i < end; ++i) {
      const Real x = z_of(i);
      if (!(x >= threshold) || !passes(x)) continue;
      if (x == threshold && rank++ >= ties) continue;
      z[to] = x;
      index[to] = static_cast<int32_t>(i);
      ++to;
    }
  });
}

template <class In>
struct FilterProgram {
  static constexpr const char* name = "filtered rows";
  static constexpr int kThreads = kFilterThreads;
  using T = typename In::T;
  using Real = typename In::Real;
  using Kept = typename KeptOf<Real>::In;

  // Rows slot, slot + slots, ….
  template <class Executor>
  static GENFAST_HD void run(Executor& executor, const RowArgs& a, const RowPlan& plan, int64_t slot, int64_t slots, char* memory) {
    for (int64_t r = slot; r < a.rows; r += slots) run_row(executor, a, plan, r, slot, memory);
  }

  template <class Executor>
  static GENFAST_HD void run_row(Executor& executor, const RowArgs& a, const RowPlan& plan, int64_t r, int64_t slot, char* memory) {
    const int64_t n = a.columns, parts = plan.parts;
    const FilterShared shared(memory + plan.row_bytes);
    FilterState* state = shared.state;
    const RowShared<In> own(memory, plan);
    const RowShared<Kept> kept(memory, plan);
    Real* z = kept_z<Real>(a, slot);
    int32_t* index = kept_index<Real>(a, slot);
    const auto shared_of = [&](int64_t) { return own; };
    const auto data_of = [&](int64_t) { return static_cast<const T*>(a.data) + r * a.stride; };
    const auto temperature_of = [&](int64_t) { return static_cast<Real>(of_row(a.temperature, r)); };
    const auto row_of = [&](int64_t) { return Row<In>{{data_of(0), own.stage, n, plan.staged}, temperature_of(0), *own.most}; };
    read_rows<In>(executor, plan, 1, n, data_of, shared_of);
    find_largest<In>(executor, plan, 1, shared_of, temperature_of);
    add_up<In>(executor, plan, 1, (n + kRowBlock - 1) / kRowBlock, shared_of, row_of);
    const double total = *own.total;
    if (!(total == total)) {
      executor.each(a.draws, [&](int64_t d) {
        a.level[d * a.rows + r] = a.bad;
        if (a.good && d == 0) a.good[r] = 0;
      });
      return;
    }
    const Row<In> row = row_of(0);
    const Real most = row.most;
    const auto z_of = [&](int64_t i) { return row.tempered(row.elements[i]); };
    const auto weigh = [&](Real x) { return static_cast<double>(row_weight(x - most)); };
    const int64_t top_k = of_row(a.top_k, r);
    const double top_p = of_row(a.top_p, r), min_p = of_row(a.min_p, r);
    const bool by_k = top_k < n, by_p = top_p < 1.0;
    const auto passes = [&](Real x) {
      const double w = weigh(x);
      return w > 0.0 && w >= min_p;
    };

    executor.each(1, [&](int64_t) {
      state->search = {key_of(-static_cast<Real>(__builtin_inff())), key_of(most) + 1};
      state->threshold = -static_cast<double>(__builtin_inff());
      state->ties = 0.0;
      state->unsure = false;
      state->target = top_p * total;
    });
    // First by counts, then by weights.
    for (int round = by_k ? 0 : 1; round < (by_p ? 2 : 1); ++round) {
      const bool weighing = round == 1, of_list = weighing && by_k;
      if (of_list) sum_of_list(executor, plan, n, shared, z_of, weigh, top_p, most, z, index, own.marks);
      const int64_t count = of_list ? state->kept : n;
      const double goal = weighing ? state->target : static_cast<double>(top_k);
      find_threshold<Real>(
          executor, parts, count, goal, shared, [&](int64_t i) { return of_list ? z[i] : z_of(i); },
          [&](Real x) { return weighing ? weigh(x) : 1.0; }, of_list ? nullptr : z);
      if (!weighing) executor.each(1, [&](int64_t) { state->ties = static_cast<double>(top_k) - state->count_above; });
    }
    if (by_p) {
      executor.each(1, [&](int64_t) {
        settle_top_p(state, weigh(static_cast<Real>(state->threshold)), static_cast<double>(n + 64) * 0x1p-51 * total);
      });
      if (state->unsure || a.distrust) {
        executor.each(1, [&](int64_t) { a.level[r] = kUnsure; });
        return;
      }
    }
    if (by_k && by_p) {
      // A short list; in place, so by one thread.
      executor.each(1, [&](int64_t) {
        const Real threshold = static_cast<Real>(state->threshold);
        double ties = state->ties;
        int64_t to = 0;
        for (int64_t i = 0; i < state->kept; ++i) {
          const Real x = z[i];
          const bool stays = x > threshold || (x == threshold && ties > 0.0);
          if (x == threshold) ties = ties - 1.0;
          if (!stays || !passes(x)) continue;
          z[to] = x;
          index[to] = index[i];
          ++to;
        }
        state->kept = to;
      });
    } else {
      list_kept<Real>(executor, parts, n, shared, z_of, passes, z, index);
    }
    draw_kept<Kept>(executor, a, plan, r, most, state->kept, z, index, kept);
  }

  // Lists what top-k keeps. Of these the CPU drops none before it adds up their weights, one by one: the target of top-p.
  template <class Executor, class ZOf, class Weigh>
  static GENFAST_HD void sum_of_list(Executor& executor, const RowPlan& plan, int64_t n, const FilterShared& shared,
                                     const ZOf& z_of, const Weigh& weigh, double top_p, Real most, Real* z, int32_t* index,
                                     double* room) {
    FilterState* state = shared.state;
    const Real none = -static_cast<Real>(__builtin_inff());
    list_kept<Real>(executor, plan.parts, n, shared, z_of, [=](Real x) { return x > none; }, z, index);
    const int64_t count = state->kept;
    executor.each(1, [&](int64_t) {
      state->target = 0.0;
      state->search = {key_of(none), key_of(most) + 1};
    });
    for (int64_t begin = 0; begin < count; begin += plan.marks) {
      const int64_t some = count - begin < plan.marks ? count - begin : plan.marks;
      executor.each(some, [&](int64_t i) { room[i] = weigh(z[begin + i]); });
      executor.each(1, [&](int64_t) {
        double sum = state->target;
        for (int64_t i = 0; i < some; ++i) sum = sum + room[i];
        state->target = begin + some < count ? sum : top_p * sum;
      });
    }
  }

  template <class K, class Executor>
  static GENFAST_HD void draw_kept(Executor& executor, const RowArgs& a, const RowPlan& plan, int64_t r, Real most, int64_t count,
                                   const Real* z, const int32_t* index, const RowShared<K>& shared) {
    const auto row_of = [&](int64_t) { return Row<K>{{z, nullptr, count, 0}, Real(1), most}; };
    add_up<K>(executor, plan, 1, (count + kRowBlock - 1) / kRowBlock, [&](int64_t) { return shared; }, row_of);
    executor.each(a.draws, [&](int64_t d) {
      const double total = *shared.total, u = uniform_of(a, r, d);
      bool unsure;
      a.level[d * a.rows + r] =
          u >= 0.0 && u <= 1.0 ? index[category(row_of(0), Marks{shared.marks, plan.unit}, least_target(u * total), 0.0, &unsure)]
                               : -1;
      if (a.good && d == 0) a.good[r] = 1;
    });
  }
};

// Rows that FilterProgram left. A slot takes every slots-th row.
template <class In>
struct UnsureProgram {
  static constexpr const char* name = "unsure rows";
  static constexpr int kThreads = kFilterThreads;
  using T = typename In::T;
  using Real = typename In::Real;
  using Kept = typename KeptOf<Real>::In;

  template <class Executor>
  static GENFAST_HD void run(Executor& executor, const RowArgs& a, const RowPlan& plan, int64_t slot, int64_t slots, char* memory) {
    for (int64_t r = slot; r < a.rows; r += slots)
      if (a.level[r] == kUnsure) run_row(executor, a, plan, r, slot, memory);
  }

  template <class Executor>
  static GENFAST_HD void run_row(Executor& executor, const RowArgs& a, const RowPlan& plan, int64_t r, int64_t slot, char* memory) {
    const RowShared<In> own(memory, plan);
    const RowShared<Kept> kept(memory, plan);
    FilterState* state = FilterShared(memory + plan.row_bytes).state;
    const KeptRow<Real> list(a, slot);
    const auto shared_of = [&](int64_t) { return own; };
    const auto data_of = [&](int64_t) { return static_cast<const T*>(a.data) + r * a.stride; };
    const auto temperature_of = [&](int64_t) { return static_cast<Real>(of_row(a.temperature, r)); };
    const auto row_of = [&](int64_t) {
      return Row<In>{{data_of(0), own.stage, a.columns, plan.staged}, temperature_of(0), *own.most};
    };
    read_rows<In>(executor, plan, 1, a.columns, data_of, shared_of);
    find_largest<In>(executor, plan, 1, shared_of, temperature_of);
    add_up<In>(executor, plan, 1, (a.columns + kRowBlock - 1) / kRowBlock, shared_of, row_of);
    executor.each(1, [&](int64_t) {
      state->kept = list.filter(row_of(0), of_row(a.top_k, r), of_row(a.top_p, r), of_row(a.min_p, r), *own.total);
    });
    FilterProgram<In>::template draw_kept<Kept>(executor, a, plan, r, *own.most, state->kept, list.z, list.index, kept);
  }
};

}  // namespace cuda
}  // namespace genfast
