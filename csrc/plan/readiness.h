// Readiness: the first step at which every (value class, position) can be computed, for sites drawn one by one or in wavefronts;
// and the proof that the model is causal for its order.
#pragma once
#include <cstdint>
#include <vector>

#include "plan/structure.h"

namespace genfast {

using PerClass = std::vector<std::vector<int32_t>>;  // [structure row][position]

inline constexpr int32_t kDead = -1;        // no output needs it
inline constexpr int32_t kNever = 1 << 30;  // due of what nothing needs

struct Readiness {
  std::vector<int32_t> site_step;  // the step that draws each site
  int32_t steps = 0;
  PerClass ready;  // 0: before sampling; t: needs a site drawn at step t - 1
};

// Throws NotCausalError when some distribution reads a site that is not drawn yet.
Readiness readiness(const Graph& graph, const Structure& structure, bool wavefront);

// Throws the NotCausalError of a model for which readiness() found `ready` later than some site's own step.
[[noreturn]] void explain_not_causal(const Graph& graph, const Structure& structure, const Readiness& by_rank);

}  // namespace genfast
