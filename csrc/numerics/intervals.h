// Borders between levels in u. Called by the categorical kernels and by device code; no loop over data.
#pragma once
#include "numerics/lane.h"

namespace genfast {
namespace numerics {

// The largest u in [0, 1] whose product with the total is at most `target`, for 0 <= target <= total and total >= 1: the border
// between two levels in u.
GENFAST_INLINE double last_uniform(double target, double total) {
  double u = target / total;
  while (u * total > target) u = bits_add(u, ~uint64_t{0});
  for (double next; u < 1.0 && (next = bits_add(u, uint64_t{1})) * total <= target;) u = next;
  return u;
}

}  // namespace numerics
}  // namespace genfast
