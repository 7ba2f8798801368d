// Memory: where every (value, position) lives from the group that computes it to the last group that reads it. Values with equal
// strides share slots, so long chains reuse warm memory; what lives inside one group only goes to a scratch area, contiguous.
#pragma once
#include "plan/structure.h"

namespace genfast {

// Fills plan.offset, plan.stride and plan.floats_per_row from plan.steps.
void place_values(const Graph& graph, const Structure& structure, Plan& plan);

}  // namespace genfast
