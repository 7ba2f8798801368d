// Which elements of rows top-k, top-p and min-p keep (the rule is kernels/filters.h's): found by all threads together, for one row
// or many at a time. Called by filters-inl.h and by the heads of decode/. A threshold is found by a search on the bits of the
// logits: seven candidates a pass, counted or weighed.
//
// Weights are added in another order than on the CPU. Where that could change the answer a row is left unsure, and its caller
// follows the CPU addition by addition (kept_row.h); so the answers are always the CPU's.
//
// The rows are a class `Rows` with
//   Real; rows, n (elements of each), parts (items that share a row, a power of 16); top_k, top_p, min_p
// and of row r
//   shared(r), total(r) (of its weights, NaN: nothing is kept), row(r) (as of KeptRow::filter), list_z(r) and list_index(r) for n
//   that are kept, room(r) for room_size doubles.
#pragma once
#include "cuda/sampling/filter_shared.h"
#include "cuda/sampling/kept_row.h"

namespace genfast {
namespace cuda {

// f(row, part, state) of every row that has a distribution.
template <class Executor, class Rows, class F>
GENFAST_HD void each_part(Executor& executor, const Rows& rows, const F& f) {
  executor.each(rows.rows * rows.parts, [&](int64_t item) {
    const Split at = split(item, rows.parts);
    FilterState* state = rows.shared(at.quotient).state;
    if (state->total == state->total) f(at.quotient, at.rest, state);
  });
}
template <class Executor, class Rows, class F>
GENFAST_HD void each_row(Executor& executor, const Rows& rows, const F& f) {
  executor.each(rows.rows, [&](int64_t r) {
    FilterState* state = rows.shared(r).state;
    if (state->total == state->total) f(r, state);
  });
}

template <class Row>
GENFAST_INLINE auto z_at(const Row& row, int64_t i) {
  return row.tempered(row.elements[i]);
}
template <class Row, class Real>
GENFAST_INLINE double weigh(const Row& row, Real z) {
  return static_cast<double>(row_weight(z - row.most));
}

// Elements that one part looks at where it must be neighbours.
struct Run {
  int64_t begin, end;
};
GENFAST_INLINE Run run_of(int64_t part, int64_t parts, int64_t n) {
  const int64_t length = (n + parts - 1) / parts, end = (part + 1) * length;
  return {part * length, end < n ? end : n};
}

// partial[j][·] of every part, for j < count, folded into partial[j][0], in a fixed order.
template <class Executor, class Rows>
GENFAST_HD void fold_partials(Executor& executor, const Rows& rows, int count) {
  for (int64_t parts = rows.parts; parts > 1; parts /= 16) {
    const int64_t left = parts / 16;
    executor.each(rows.rows * count * left, [&](int64_t item) {
      const Split of_row = split(item, count * left), at = split(of_row.rest, left);
      double* p = rows.shared(of_row.quotient).partial + at.quotient * rows.parts;
      double sum = p[at.rest];
      for (int64_t i = at.rest + left; i < parts; i += left) sum = sum + p[i];
      p[at.rest] = sum;
    });
  }
}

// Lists the elements that the search has not passed judgement on, and sums up those over them.
template <class Executor, class Rows>
GENFAST_HD void list_open(Executor& executor, const Rows& rows) {
  using Real = typename Rows::Real;
  const int64_t n = rows.n, parts = rows.parts;
  each_part(executor, rows, [&](int64_t r, int64_t part, FilterState* state) {
    const Real low = real_of(state->search.low, Real()), high = real_of(state->search.high, Real());
    const Run run = run_of(part, parts, n);
    const auto& row = rows.row(r);
    double inside = 0.0, beyond = 0.0;
    for (int64_t i = run.begin; i < run.end; ++i) {
      const Real z = z_at(row, i);
      inside = inside + (z >= low && z < high ? 1.0 : 0.0);
      beyond = beyond + (z >= high ? 1.0 : 0.0);
    }
    double* open = rows.shared(r).partial;
    open[part] = inside;
    open[parts + part] = beyond;
  });
  each_row(executor, rows, [&](int64_t r, FilterState* state) {
    double* open = rows.shared(r).partial;
    double before = 0.0, beyond = 0.0;
    for (int64_t part = 0; part < parts; ++part) {
      const double inside = open[part];
      open[part] = before;
      before = before + inside;
      beyond = beyond + open[parts + part];
    }
    state->listed = static_cast<int64_t>(before);
    state->base = state->top;
    state->base_count = beyond;
  });
  each_part(executor, rows, [&](int64_t r, int64_t part, FilterState* state) {
    const Real low = real_of(state->search.low, Real()), high = real_of(state->search.high, Real());
    const Run run = run_of(part, parts, n);
    const auto& row = rows.row(r);
    Real* list = rows.list_z(r);
    int64_t to = static_cast<int64_t>(rows.shared(r).partial[part]);
    for (int64_t i = run.begin; i < run.end; ++i) {
      const Real z = z_at(row, i);
      if (z >= low && z < high) list[to++] = z;
    }
  });
}

// Of every row the largest threshold from which on the measures of its elements add up to goal_of(state); state->search says where
// to look, and its low end must reach the goal. The elements are those that top-k has kept (of_list), or all, and then what is
// still open after a few passes is listed in their place. measure(row, z) is what an element counts.
template <class Executor, class Rows, class Goal, class Measure>
GENFAST_HD void find_thresholds(Executor& executor, const Rows& rows, bool of_list, const Goal& goal_of, const Measure& measure) {
  using Real = typename Rows::Real;
  // The first of them narrow the threshold down to about a binary order of magnitude, all of them to one number.
  constexpr int kWholePasses = 3, kPasses = sizeof(Real) == 4 ? 11 : 22;
  const int64_t parts = rows.parts;
  bool listed = of_list;
  const auto count_of = [&](const FilterState* state) { return of_list ? state->kept : listed ? state->listed : rows.n; };
  each_row(executor, rows, [&](int64_t, FilterState* state) { state->top = state->base = state->base_count = 0.0; });
  for (int pass = 0; pass < kPasses; ++pass) {
    if (pass == kWholePasses && !of_list) {
      list_open(executor, rows);
      listed = true;
    }
    each_part(executor, rows, [&](int64_t r, int64_t part, FilterState* state) {
      const Search search = state->search;
      if (search.found()) return;
      const int64_t n = count_of(state);
      const auto& row = rows.row(r);
      const Real* list = rows.list_z(r);
      Real candidate[kCandidates];
      double sum[kCandidates];
      GENFAST_UNROLL(7)
      for (int j = 0; j < kCandidates; ++j) {
        candidate[j] = real_of(search.candidate(j + 1), Real());
        sum[j] = 0.0;
      }
      for (int64_t i = part; i < n; i += parts) {
        const Real z = listed ? list[i] : z_at(row, i);
        const double m = measure(row, z);
        GENFAST_UNROLL(7)
        for (int j = 0; j < kCandidates; ++j) sum[j] = sum[j] + (z >= candidate[j] ? m : 0.0);
      }
      double* partial = rows.shared(r).partial;
      GENFAST_UNROLL(7)
      for (int j = 0; j < kCandidates; ++j) partial[j * parts + part] = sum[j];
    });
    fold_partials(executor, rows, kCandidates);
    each_row(executor, rows, [&](int64_t r, FilterState* state) {
      const Search search = state->search;
      if (search.found()) return;
      const double *partial = rows.shared(r).partial, goal = goal_of(state);
      int j = 0;
      while (j < kCandidates && state->base + partial[j * parts] >= goal) ++j;
      if (j < kCandidates) state->top = state->base + partial[j * parts];
      state->search = {search.candidate(j), search.candidate(j + 1)};
    });
  }
  // What lies over the threshold, and from it on: counts, then measures.
  each_part(executor, rows, [&](int64_t r, int64_t part, FilterState* state) {
    const Real threshold = real_of(state->search.low, Real());
    const int64_t n = count_of(state);
    const auto& row = rows.row(r);
    const Real* list = rows.list_z(r);
    double sum[4] = {0.0, 0.0, 0.0, 0.0};
    for (int64_t i = part; i < n; i += parts) {
      const Real z = listed ? list[i] : z_at(row, i);
      const double m = measure(row, z);
      sum[0] = sum[0] + (z > threshold ? 1.0 : 0.0);
      sum[1] = sum[1] + (z >= threshold ? 1.0 : 0.0);
      sum[2] = sum[2] + (z > threshold ? m : 0.0);
      sum[3] = sum[3] + (z >= threshold ? m : 0.0);
    }
    double* partial = rows.shared(r).partial;
    for (int j = 0; j < 4; ++j) partial[j * parts + part] = sum[j];
  });
  fold_partials(executor, rows, 4);
  each_row(executor, rows, [&](int64_t r, FilterState* state) {
    const double* partial = rows.shared(r).partial;
    state->threshold = static_cast<double>(real_of(state->search.low, Real()));
    state->count_above = state->base_count + partial[0];
    state->ties = partial[parts] - partial[0];
    state->above = state->base + partial[2 * parts];
    state->reached = state->base + partial[3 * parts];
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

// Lists the elements over the threshold, `ties` of its equals (the first), and of those the ones that passes(row, z) lets through.
template <class Executor, class Rows, class Passes>
GENFAST_HD void list_kept(Executor& executor, const Rows& rows, const Passes& passes) {
  using Real = typename Rows::Real;
  const int64_t n = rows.n, parts = rows.parts;
  each_part(executor, rows, [&](int64_t r, int64_t part, FilterState* state) {
    const Real threshold = static_cast<Real>(state->threshold);
    const Run run = run_of(part, parts, n);
    const auto& row = rows.row(r);
    double greater = 0.0, same = 0.0;
    for (int64_t i = run.begin; i < run.end; ++i) {
      const Real x = z_at(row, i);
      if (x > threshold && passes(row, x)) greater = greater + 1.0;
      if (x == threshold && passes(row, x)) same = same + 1.0;
    }
    double* over = rows.shared(r).partial;
    over[part] = greater;
    over[parts + part] = same;
  });
  each_row(executor, rows, [&](int64_t r, FilterState* state) {
    double *over = rows.shared(r).partial, *equal = over + parts;
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
  each_part(executor, rows, [&](int64_t r, int64_t part, FilterState* state) {
    const Real threshold = static_cast<Real>(state->threshold);
    const double *over = rows.shared(r).partial, *equal = over + parts;
    const Run run = run_of(part, parts, n);
    const int64_t ties = static_cast<int64_t>(state->ties);
    int64_t rank = static_cast<int64_t>(equal[part]);
    int64_t to = static_cast<int64_t>(over[part]) + (rank < ties ? rank : ties);
    const auto& row = rows.row(r);
    Real* z = rows.list_z(r);
    int32_t* index = rows.list_index(r);
    for (int64_t i = run.begin; i < run.end; ++i) {
      const Real x = z_at(row, i);
      if (!(x >= threshold) || !passes(row, x)) continue;
      if (x == threshold && rank++ >= ties) continue;
      z[to] = x;
      index[to] = static_cast<int32_t>(i);
      ++to;
    }
  });
}

// Lists what top-k keeps. Of these the CPU drops none before it adds up their weights, one by one: the target of top-p.
template <class Executor, class Rows>
GENFAST_HD void sum_of_lists(Executor& executor, const Rows& rows) {
  using Real = typename Rows::Real;
  const Real none = -static_cast<Real>(__builtin_inff());
  list_kept(executor, rows, [=](const auto&, Real x) { return x > none; });
  each_row(executor, rows, [&](int64_t r, FilterState* state) {
    state->target = 0.0;
    state->search = {key_of(none), key_of(rows.row(r).most) + 1};
  });
  const int64_t room = rows.room_size < rows.top_k ? rows.room_size : rows.top_k;
  for (int64_t begin = 0; begin < rows.top_k; begin += room) {
    executor.each(rows.rows * room, [&](int64_t item) {
      const Split at = split(item, room);
      const FilterState* state = rows.shared(at.quotient).state;
      if (state->total == state->total && begin + at.rest < state->kept)
        rows.room(at.quotient)[at.rest] = weigh(rows.row(at.quotient), rows.list_z(at.quotient)[begin + at.rest]);
    });
    each_row(executor, rows, [&](int64_t r, FilterState* state) {
      const double* weights = rows.room(r);
      double sum = state->target;
      for (int64_t i = 0; i < room && begin + i < state->kept; ++i) sum = sum + weights[i];
      state->target = begin + room < rows.top_k ? sum : rows.top_p * sum;
    });
  }
}

// Leaves of every row what is kept in its lists, state->kept elements, 0 where it has no distribution; or state->unsure, and then
// neither is to be read.
template <class Executor, class Rows>
GENFAST_HD void filter_rows(Executor& executor, const Rows& rows) {
  using Real = typename Rows::Real;
  const bool by_k = rows.top_k < rows.n, by_p = rows.top_p < 1.0;
  const double min_p = rows.min_p;
  const auto passes = [=](const auto& row, Real x) {
    const double w = weigh(row, x);
    return w > 0.0 && w >= min_p;
  };
  executor.each(rows.rows, [&](int64_t r) {
    FilterState* state = rows.shared(r).state;
    state->total = rows.total(r);
    state->search = {key_of(-static_cast<Real>(__builtin_inff())), key_of(rows.row(r).most) + 1};
    state->threshold = -static_cast<double>(__builtin_inff());
    state->ties = 0.0;
    state->target = rows.top_p * state->total;
    state->kept = 0;
    state->unsure = false;
  });
  // First by counts, then by weights.
  for (int round = by_k ? 0 : 1; round < (by_p ? 2 : 1); ++round) {
    const bool weighing = round == 1, of_list = weighing && by_k;
    if (of_list) sum_of_lists(executor, rows);
    find_thresholds(
        executor, rows, of_list,
        [&](const FilterState* state) { return weighing ? state->target : static_cast<double>(rows.top_k); },
        [=](const auto& row, Real x) { return weighing ? weigh(row, x) : 1.0; });
    if (!weighing)
      each_row(executor, rows,
               [&](int64_t, FilterState* state) { state->ties = static_cast<double>(rows.top_k) - state->count_above; });
  }
  if (by_p)
    each_row(executor, rows, [&](int64_t r, FilterState* state) {
      settle_top_p(state, weigh(rows.row(r), static_cast<Real>(state->threshold)),
                   static_cast<double>(rows.n + 64) * 0x1p-51 * state->total);
    });
  if (!(by_k && by_p)) return list_kept(executor, rows, passes);
  // A short list; in place, so by one thread.
  each_row(executor, rows, [&](int64_t r, FilterState* state) {
    Real* z = rows.list_z(r);
    int32_t* index = rows.list_index(r);
    const auto& row = rows.row(r);
    const Real threshold = static_cast<Real>(state->threshold);
    double ties = state->ties;
    int64_t to = 0;
    for (int64_t i = 0; i < state->kept; ++i) {
      const Real x = z[i];
      const bool stays = x > threshold || (x == threshold && ties > 0.0);
      if (x == threshold) ties = ties - 1.0;
      if (!stays || !passes(row, x)) continue;
      z[to] = x;
      index[to] = index[i];
      ++to;
    }
    state->kept = to;
  });
}

}  // namespace cuda
}  // namespace genfast
