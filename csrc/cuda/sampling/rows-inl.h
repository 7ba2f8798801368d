// Rows that are not filtered: a block of threads takes one or more, keeps them in shared memory where they fit (else reads them
// again), and makes a slice of their draws. Included by its two forms.
#pragma once
#include "cuda/sampling/row_phases.h"

namespace genfast {
namespace cuda {

template <class In>
struct RowProgram {
  static constexpr const char* name = "categorical rows";

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
      return Row<In>{{plan.staged ? shared.stage : data_of(r), a.columns, plan.staged},
                     temperature_of(r),
                     In::logits ? *shared.most : Real(0)};
    };
    // Weights need no largest, and are read only once where they are not staged.
    if (In::logits || plan.staged) {
      read_rows<In>(executor, plan, rows, a.columns, data_of, shared_of);
      find_largest<In>(executor, plan, rows, shared_of, temperature_of);
    }
    add_up<In>(executor, plan, rows, (a.columns + kRowBlock - 1) / kRowBlock, shared_of, row_of);
    executor.each(rows * draws, [&](int64_t item) {
      const Split at = split(item, rows);
      const int64_t r = at.rest, d = first_draw + at.quotient;
      const RowShared<In> shared = shared_of(r);
      const double total = *shared.total;
      if (a.good && d == 0) a.good[first + r] = total == total;
      const double u = uniform_of(a, first + r, d);
      const bool valid = total == total && u >= 0.0 && u <= 1.0;
      a.level[d * a.rows + first + r] = valid ? category(row_of(r), Marks{shared.marks, plan.unit}, least_target(u * total))
                                        : total == total ? -1
                                                         : a.bad;
    });
  }
};

}  // namespace cuda
}  // namespace genfast
