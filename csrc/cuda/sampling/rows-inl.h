// Rows that are not filtered: a block of threads takes one or more, keeps them in shared memory as far as they fit (and reads the
// rest again), and makes a slice of their draws. Included by its two forms.
//
// Long rows are added up in another order than on the CPU. A draw that this could change is made again, with the CPU's sums: about
// one in a million of rows of 100,000.
#pragma once
#include "cuda/sampling/row_phases.h"

namespace genfast {
namespace cuda {

template <class In>
struct RowProgram {
  static constexpr const char* name = "categorical rows";
  static constexpr int kThreads = kRowThreads;

  // Block number `block` of the launch.
  template <class Executor>
  static GENFAST_HD void run(Executor& executor, const RowArgs& a, const RowPlan& plan, int64_t block, int64_t, char* memory) {
    using T = typename In::T;
    using Real = typename In::Real;
    const int64_t groups = (a.rows + plan.rows - 1) / plan.rows;
    const int64_t first = block % groups * plan.rows, first_draw = block / groups * plan.slice;
    const int64_t rows = a.rows - first < plan.rows ? a.rows - first : plan.rows;
    const int64_t draws = a.draws - first_draw < plan.slice ? a.draws - first_draw : plan.slice;
    const auto shared_of = [&](int64_t r) { return RowShared<In>(memory + r * plan.row_bytes, plan); };
    const auto data_of = [&](int64_t r) { return static_cast<const T*>(a.data) + (first + r) * a.stride; };
    const auto temperature_of = [&](int64_t r) { return static_cast<Real>(of_row(a.temperature, first + r)); };
    const auto row_of = [&](int64_t r) {
      const RowShared<In> shared = shared_of(r);
      return Row<In>{{data_of(r), shared.stage, a.columns, plan.staged}, temperature_of(r), In::logits ? *shared.most : Real(0)};
    };
    // Weights need no largest, and are read only once where they are not staged.
    if (In::logits || plan.staged) {
      read_rows<In>(executor, plan, rows, a.columns, data_of, shared_of);
      find_largest<In>(executor, plan, rows, shared_of, temperature_of);
    }
    const int64_t blocks = (a.columns + kRowBlock - 1) / kRowBlock;
    for (bool roughly = plan.segments > 0;; roughly = false) {
      if (roughly)
        add_up_apart<In>(executor, plan, rows, blocks, shared_of, row_of);
      else
        add_up<In>(executor, plan, rows, blocks, shared_of, row_of);
      draw(executor, a, plan, first, rows, first_draw, draws, shared_of, row_of, roughly);
      if (!roughly) return;
      int64_t unsure = 0;
      for (int64_t r = 0; r < rows; ++r) unsure |= *shared_of(r).unsure;
      if (!unsure) return;
    }
  }

  // Of `rows` rows from `first` on, draws from first_draw on. If `roughly`, the marks are those of add_up_apart(), and draws that
  // these do not settle are left kUnsure; else, where some were left so, only those are made.
  template <class Executor, class SharedOf, class RowOf>
  static GENFAST_HD void draw(Executor& executor, const RowArgs& a, const RowPlan& plan, int64_t first, int64_t rows,
                              int64_t first_draw, int64_t draws, const SharedOf& shared_of, const RowOf& row_of, bool roughly) {
    executor.each(rows * draws, [&](int64_t item) {
      const Split at = split(item, rows);
      const int64_t r = at.rest, d = first_draw + at.quotient;
      const RowShared<In> shared = shared_of(r);
      int64_t* level = a.level + d * a.rows + first + r;
      if (plan.segments && !roughly && *level != kUnsure) return;
      const double total = *shared.total;
      if (a.good && d == 0) a.good[first + r] = total == total;
      const double u = uniform_of(a, first + r, d);
      if (!(total == total) || !(u >= 0.0 && u <= 1.0)) {
        *level = total == total ? -1 : a.bad;
        return;
      }
      const double error = roughly ? static_cast<double>(2 * row_of(r).blocks() + 64) * 0x1p-52 * total : 0.0;
      bool unsure;
      *level = category(row_of(r), Marks{shared.marks, plan.unit}, least_target(u * total), error, &unsure);
      if (roughly && (unsure || a.distrust)) {
        *level = kUnsure;
        note_unsure(shared.unsure);
      }
    });
  }
};

}  // namespace cuda
}  // namespace genfast
