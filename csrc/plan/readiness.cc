#include "plan/readiness.h"

#include <algorithm>

#include "base/errors.h"
#include "plan/visible.h"

namespace genfast {
namespace {

Readiness rank_draws(const Graph& graph, const std::vector<uint8_t>& known, bool output) {
  Readiness r;
  const int64_t draws = graph.head.by_position() ? graph.positions() : graph.sites();
  r.draw_step.assign(draws, kDead);
  r.site_step.assign(graph.sites(), -1);
  for (int32_t site : graph.order) {
    const int64_t draw = draw_of(graph, site);
    if ((!known.empty() && known[site]) || graph.head_position(draw) < 0) continue;
    if (r.draw_step[draw] == kDead) {
      r.draw_step[draw] = static_cast<int32_t>(r.draws.size());
      r.draws.push_back(static_cast<int32_t>(draw));
    }
    r.site_step[site] = r.draw_step[draw];
  }
  r.steps = static_cast<int32_t>(r.draws.size());
  if (!r.draws.empty() || output) return r;
  r.steps = 1;
  for (int32_t site : graph.order) {
    const int64_t draw = draw_of(graph, site);
    if (graph.head_position(draw) < 0 || r.draw_step[draw] == 0) continue;
    r.draw_step[draw] = 0;
    r.draws.push_back(static_cast<int32_t>(draw));
  }
  return r;
}

void find_ready(const Graph& graph, const Structure& s, Readiness& r) {
  r.ready.resize(s.rows.size());
  for (size_t i = 0; i < s.rows.size(); ++i) r.ready[i].assign(s.rows[i].positions, 0);
  place_states(graph, s, r, r.ready);
  for (const Stage& stage : s.stages) {
    if (stage.loop) {
      const int64_t positions = s.rows[s.sequence[stage.begin]].positions;
      for (int64_t p = 0; p < positions; ++p)
        for (int i = stage.begin; i < stage.end; ++i)
          for (const Dep& dep : s.rows[s.sequence[i]].deps) {
            int32_t& ready = r.ready[s.sequence[i]][p];
            if (const int64_t q = dep_position(graph, dep, p); q >= 0) ready = std::max(ready, r.ready[dep.row][q]);
          }
      continue;
    }
    const Row& row = s.rows[s.sequence[stage.begin]];
    std::vector<int32_t>& ready = r.ready[s.sequence[stage.begin]];
    for (const Dep& dep : row.deps)
      for (int64_t p = 0; p < row.positions; ++p)
        if (const int64_t q = dep_position(graph, dep, p); q >= 0) ready[p] = std::max(ready[p], r.ready[dep.row][q]);
    if (row.keys < 0) continue;
    const RangeMax keys(r.ready[row.keys]);
    for (int64_t p = 0; p < row.positions; ++p)
      for_each_visible(graph, graph.nodes[row.node].attention, p,
                       [&](int64_t begin, int64_t end) { ready[p] = std::max(ready[p], keys.max(begin, end)); });
  }
}

// Known sites whose distribution reads what is not known: nothing could give the others the right distribution.
void check_known(const Graph& graph, const Structure& s, const Readiness& r, const std::vector<uint8_t>& known) {
  if (known.empty()) return;
  for (int32_t site : graph.order) {
    if (!known[site] || graph.head_position(site) < 0) continue;
    if (head_ready(graph, s, r.ready, draw_of(graph, site)) > 0) explain_not_known(graph, s, r, site);
    if (!graph.head.by_position()) continue;
    // Channels drawn together are drawn in turn.
    for (int64_t before = site - graph.positions(); before >= 0; before -= graph.positions())
      if (!known[before])
        throw ArgumentError("known: site " + site_name(graph, site) + " is known, but its distribution depends on site " +
                            site_name(graph, before) + ", an earlier channel of the same position, which is not known");
  }
}

// level(draw) = 1 + the largest level it reads. Everything is met in the order in which it becomes ready draw by draw, so that what
// it reads has its level already.
Readiness wavefronts(const Graph& graph, const Structure& s, const Readiness& by_rank) {
  Readiness r = by_rank;
  std::vector<int64_t> begin(by_rank.steps + 1, 0);  // [rank] into elements
  auto for_each_element = [&](auto&& f) {
    auto element = [&](int row, int64_t p) {
      const int32_t ready = by_rank.ready[row][p];
      r.ready[row][p] = 0;
      // What the last draw makes ready, no draw reads.
      if (ready > 0 && ready < by_rank.steps) f(row, p, ready);
    };
    for (const Stage& stage : s.stages) {
      const int64_t positions = s.rows[s.sequence[stage.begin]].positions;
      for (int64_t p = 0; p < positions; ++p)
        for (int i = stage.begin; i < stage.end; ++i) element(s.sequence[i], p);
    }
  };
  for_each_element([&](int, int64_t, int32_t ready) { ++begin[ready + 1]; });
  for (int32_t t = 1; t <= by_rank.steps; ++t) begin[t] += begin[t - 1];
  struct Element {
    int32_t row, p;
  };
  std::vector<Element> elements(begin[by_rank.steps]);
  {
    std::vector<int64_t> next = begin;
    for_each_element([&](int row, int64_t p, int32_t ready) { elements[next[ready]++] = {row, static_cast<int32_t>(p)}; });
  }
  std::vector<RangeMax> visible(s.rows.size());  // [keys row] their levels
  for (const Row& row : s.rows)
    if (row.keys >= 0) visible[row.keys] = RangeMax(s.rows[row.keys].positions);

  r.steps = 0;
  for (size_t rank = 0; rank < by_rank.draws.size(); ++rank) {
    for (int64_t e = begin[rank]; e < begin[rank + 1]; ++e) {
      const auto [index, p] = elements[e];
      const Row& row = s.rows[index];
      int32_t level = 0;
      for (const Dep& dep : row.deps)
        if (const int64_t q = dep_position(graph, dep, p); q >= 0) level = std::max(level, r.ready[dep.row][q]);
      if (row.keys >= 0)
        for_each_visible(graph, graph.nodes[row.node].attention, p,
                         [&, keys = row.keys](int64_t from, int64_t to) { level = std::max(level, visible[keys].max(from, to)); });
      if (row.cls < 0) visible[index].raise(p, level);
      r.ready[index][p] = level;
    }
    const int32_t draw = by_rank.draws[rank], level = head_ready(graph, s, r.ready, draw);
    r.draw_step[draw] = level;
    r.steps = std::max(r.steps, level + 1);
    for_each_site(graph, draw, [&](int32_t site) {
      if (by_rank.site_step[site] < 0) return;
      r.site_step[site] = level;
      r.ready[site_row(graph, site)][site % graph.positions()] = level + 1;
    });
  }
  return r;
}

// The steps after the last draw. In rounds there is exactly one, with at least one before it for what does not change.
void add_output(const Graph& graph, const Structure& s, Readiness& r) {
  find_ready(graph, s, r);  // once more: of what no draw reads, wavefronts know nothing
  r.steps = std::max(r.steps, 1);
  for_each_result(graph, [&](int value) {
    for (int row = s.first_row[value]; row < s.first_row[value + 1]; ++row)
      for (int32_t ready : r.ready[row]) r.steps = std::max(r.steps, ready + 1);
  });
}

}  // namespace

void place_states(const Graph& graph, const Structure& s, const Readiness& r, PerRow& when) {
  for (int64_t site = 0; site < graph.sites(); ++site) {
    int32_t& there = when[site_row(graph, site)][site % graph.positions()];
    there = std::max(there, r.site_step[site] + 1);
  }
  if (r.body < 0) return;
  for (const State& state : graph.iteration.states)
    for (int row = s.first_row[state.value]; row < s.first_row[state.value + 1]; ++row)
      std::fill(when[row].begin(), when[row].end(), r.body);
}

int32_t head_ready(const Graph& graph, const Structure& s, const PerRow& ready, int64_t draw) {
  const int64_t q = graph.head_position(draw);
  int32_t last = 0;
  for (int row : s.head) last = std::max(last, ready[row][q]);
  return last;
}

Readiness readiness(const Graph& graph, const Structure& s, const PlanOptions& options) {
  Readiness r = rank_draws(graph, options.known, options.output);
  find_ready(graph, s, r);
  check_known(graph, s, r, options.known);
  bool chain = true;
  for (int32_t draw : r.draws) {
    const int32_t last = head_ready(graph, s, r.ready, draw);
    if (last > r.draw_step[draw]) explain_not_causal(graph, s, r);
    chain = chain && last == r.draw_step[draw];
  }
  // Where each draw reads the one before it, every wavefront is one draw.
  if (options.wavefront && !chain) r = wavefronts(graph, s, r);
  if (!options.output) return r;
  if (graph.iteration.rounds > 0) r.body = std::max(r.steps, 1);
  add_output(graph, s, r);
  if (r.body >= 0) r.steps = r.body + 1;
  return r;
}

}  // namespace genfast
