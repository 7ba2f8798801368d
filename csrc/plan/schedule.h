// Schedule: the step at which every (row, position) is computed, between ready and due. Products and attention run at the first
// step that needs them, together with all that is ready by then (fewest, largest launches); everything else, and all of a loop,
// runs as soon as its operands exist.
#pragma once
#include "plan/readiness.h"

namespace genfast {

// kDead where nothing needs the value; the conditions are not scheduled (kDead). Of the sites and states: when they are there.
// With `output` the last step needs the output. What does not change from round to round is computed before the body.
PerRow schedule(const Graph& graph, const Structure& structure, const Readiness& readiness, bool output);

}  // namespace genfast
