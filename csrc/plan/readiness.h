// Readiness: the first step at which every (row, position) can be computed, for draws one by one or in wavefronts; and the proof
// that the model is causal for its order. A draw is what is sampled from one distribution: a site, or all channels of a position
// where the head draws them together.
#pragma once
#include <cstdint>
#include <vector>

#include "plan/structure.h"

namespace genfast {

using PerRow = std::vector<std::vector<int32_t>>;  // [row of the structure][position]

inline constexpr int32_t kDead = -1;        // no output needs it
inline constexpr int32_t kNever = 1 << 30;  // due of what nothing needs

struct Readiness {
  std::vector<int32_t> draws;      // in their order; what is known or has no distribution is not among them
  std::vector<int32_t> draw_step;  // [draw] the step whose end it is, or kDead
  std::vector<int32_t> site_step;  // [site] the step that draws it, -1 when it is there before sampling
  int32_t steps = 0;
  int32_t body = -1;  // the step that the states are ready for and that is run once a round, or -1
  PerRow ready;       // 0: before sampling; t: needs a site drawn at step t - 1
};

// The draw a site belongs to, and the sites of a draw.
inline int64_t draw_of(const Graph& graph, int64_t site) { return graph.head.by_position() ? site % graph.positions() : site; }
template <class F>
void for_each_site(const Graph& graph, int64_t draw, F&& f) {
  if (!graph.head.by_position()) return f(static_cast<int32_t>(draw));
  for (int64_t site = draw; site < graph.sites(); site += graph.positions()) f(static_cast<int32_t>(site));
}

// The row of value 0 that a site is an element of. In rounds all channels are there together, after the draws: one class.
inline int site_row(const Graph& graph, int64_t site) {
  return graph.sites_together() ? 0 : static_cast<int>(site / graph.positions());
}

// With nothing left to draw and no output, one step evaluates every distribution. Throws NotCausalError when some distribution
// reads a site that is not drawn yet, ArgumentError when that of a known site does.
Readiness readiness(const Graph& graph, const Structure& structure, const PlanOptions& options);

// Calls f(value) for what has to be there after the last step: the output, or what the states become.
template <class F>
void for_each_result(const Graph& graph, F&& f) {
  if (graph.iteration.rounds == 0) return f(graph.output.value);
  for (const State& state : graph.iteration.states) f(state.next);
}

// Of what nothing computes: the first step that may read it. Sites are there after their draw, states in the body.
void place_states(const Graph& graph, const Structure& structure, const Readiness& readiness, PerRow& when);

// When the last of what the distribution of a draw reads is ready.
int32_t head_ready(const Graph& graph, const Structure& structure, const PerRow& ready, int64_t draw);

// Throws the NotCausalError of a model for which readiness() found `ready` later than some draw's own step.
[[noreturn]] void explain_not_causal(const Graph& graph, const Structure& structure, const Readiness& by_rank);

// Throws the ArgumentError of a draw with known sites that reads sites which are not.
[[noreturn]] void explain_not_known(const Graph& graph, const Structure& structure, const Readiness& by_rank, int32_t site);

// (0, 3), for messages.
std::string site_name(const Graph& graph, int64_t site);

}  // namespace genfast
