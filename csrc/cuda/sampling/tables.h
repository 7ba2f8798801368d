// Tables that the host builds and the device reads: inverse distribution functions (numerics/inverse_table.h) and guide tables of
// one discrete distribution (sampling/guide_table.h). Called with arrays that the bindings have checked; builds nothing.
#pragma once
#include <cstdint>

#include "cuda/sampling/elementwise.h"
#include "numerics/inverse_table_view.h"

namespace genfast {
namespace cuda {

// out[i] = F_r^-1(u[i]), r = i % rows, or F_r^-1(1 - u[i]) if complement; NaN for what is no probability.
struct InverseTableArgs {
  InverseTableView table;
  int64_t rows, n;
  bool complement;
  Argument u;
  RealOut out;
};
void invert(const Place& place, const InverseTableArgs& args);

// out[i] = the category of u[i]; -1 for what is no probability.
struct GuideTableArgs {
  const double* cumulative;
  const int32_t* guide;  // [guide_size], a power of two
  int64_t guide_size;
  double total;
  const int32_t* index;  // of the table's categories among all, or null
  int64_t n;
  Argument u;
  int64_t* out;
};
void look_up(const Place& place, const GuideTableArgs& args);

void interpret_inverse_table(const Place& place, const InverseTableArgs& args);
void launch_inverse_table(const Place& place, const InverseTableArgs& args);
void interpret_guide_table(const Place& place, const GuideTableArgs& args);
void launch_guide_table(const Place& place, const GuideTableArgs& args);

}  // namespace cuda
}  // namespace genfast
