// Rows that are filtered: what top-k, top-p and min-p keep, and draws from it. A block of threads takes one row at a time and lists
// what is kept in its slot of the workspace (filter_rows.h). Rows that this leaves unsure are taken by a second launch, addition by
// addition as on the CPU. Included by the two forms.
#pragma once
#include "cuda/sampling/filter_rows.h"
#include "cuda/sampling/row_phases.h"

namespace genfast {
namespace cuda {

// The row of a block of threads, as filter_rows() wants it.
template <class In>
struct FilteredRow {
  using Real = typename In::Real;
  static constexpr int64_t rows = 1;
  int64_t parts, n, top_k;
  double top_p, min_p;
  int64_t room_size;
  const Row<In>& only;
  double row_total;
  FilterShared row_shared;
  Real* kept;
  int32_t* index;
  double* weights;

  GENFAST_HD FilterShared shared(int64_t) const { return row_shared; }
  GENFAST_HD double total(int64_t) const { return row_total; }
  GENFAST_HD const Row<In>& row(int64_t) const { return only; }
  GENFAST_HD Real* list_z(int64_t) const { return kept; }
  GENFAST_HD int32_t* list_index(int64_t) const { return index; }
  GENFAST_HD double* room(int64_t) const { return weights; }
};

// alone: only rows that the other form left, each by one thread.
template <class In, bool alone>
struct FilterProgram {
  static constexpr const char* name = alone ? "unsure rows" : "filtered rows";
  static constexpr int kThreads = kFilterThreads;
  using T = typename In::T;
  using Real = typename In::Real;
  using Kept = typename KeptOf<Real>::In;

  // Rows slot, slot + slots, ….
  template <class Executor>
  static GENFAST_HD void run(Executor& executor, const RowArgs& a, const RowPlan& plan, int64_t slot, int64_t slots, char* memory) {
    for (int64_t r = slot; r < a.rows; r += slots)
      if (!alone || a.level[r] == kUnsure) run_row(executor, a, plan, r, slot, memory);
  }

  template <class Executor>
  static GENFAST_HD void run_row(Executor& executor, const RowArgs& a, const RowPlan& plan, int64_t r, int64_t slot, char* memory) {
    const int64_t n = a.columns;
    const FilterShared shared(memory + plan.row_bytes);
    FilterState* state = shared.state;
    const RowShared<In> own(memory, plan);
    const RowShared<Kept> kept(memory, plan);
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
    const int64_t top_k = of_row(a.top_k, r);
    const double top_p = of_row(a.top_p, r), min_p = of_row(a.min_p, r);
    if constexpr (alone) {
      const KeptRow<Real> list(a, slot);
      executor.each(1, [&](int64_t) { state->kept = list.filter(row, top_k, top_p, min_p, total); });
      draw_kept<Kept>(executor, a, plan, r, row.most, state->kept, list.z, list.index, kept);
    } else {
      Real* z = kept_z<Real>(a, slot);
      int32_t* index = kept_index<Real>(a, slot);
      filter_rows(executor,
                  FilteredRow<In>{plan.parts, n, top_k, top_p, min_p, plan.marks, row, total, shared, z, index, own.marks});
      if (state->unsure || (a.distrust && top_p < 1.0))
        executor.each(1, [&](int64_t) { a.level[r] = kUnsure; });
      else
        draw_kept<Kept>(executor, a, plan, r, row.most, state->kept, z, index, kept);
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

}  // namespace cuda
}  // namespace genfast
