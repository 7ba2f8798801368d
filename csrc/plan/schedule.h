// Schedule: the step at which every (value class, position) is computed, between ready and due. Products run at the first step that
// needs them, together with all that is ready by then (fewest, largest launches); everything else runs as soon as its operands
// exist.
#pragma once
#include "plan/readiness.h"

namespace genfast {

// kDead where nothing needs the value; the site value and the conditions are not scheduled (kDead).
PerClass schedule(const Graph& graph, const Structure& structure, const Readiness& readiness);

}  // namespace genfast
