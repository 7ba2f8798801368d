#include "plan/grouping.h"

#include <algorithm>

namespace genfast {
namespace {

class Grouping {
 public:
  Grouping(const Graph& graph, const Structure& s) : graph_(graph), s_(s), in_group_(graph.values.size(), 0), member_(0) {}

  void add(Step& step, Task task, std::vector<int32_t> positions) {
    if (!step.groups.empty() && step.groups.back().positions == positions && stays_at_its_position(task)) {
      step.groups.back().tasks.push_back(task);
    } else {
      step.groups.push_back({{task}, std::move(positions)});
      std::fill(in_group_.begin(), in_group_.end(), 0);
      int32_t highest = 0;
      for (int32_t p : step.groups.back().positions) highest = std::max(highest, p);
      member_.assign(highest + 1, 0);
      for (int32_t p : step.groups.back().positions) member_[p] = 1;
      positions_ = &step.groups.back().positions;
    }
    in_group_[graph_.nodes[task.node].out] = 1;
  }

 private:
  // Whatever the group has computed may be read at the same position only. Positions are indices into different grids here; equal
  // lists and an identical index are what makes "the same row of the block" true.
  bool stays_at_its_position(Task task) const {
    for (const Dep& dep : s_.nodes[task.node][task.cls].deps) {
      if (!in_group_[dep.value]) continue;
      for (int32_t p : *positions_) {
        const int64_t q = dep_position(graph_, dep, p);
        if (q >= 0 && q != p && q < static_cast<int64_t>(member_.size()) && member_[q]) return false;
      }
    }
    return true;
  }

  const Graph& graph_;
  const Structure& s_;
  std::vector<uint8_t> in_group_, member_;
  const std::vector<int32_t>* positions_ = nullptr;
};

}  // namespace

std::vector<Step> group_tasks(const Graph& graph, const Structure& s, const Readiness& r, const PerClass& schedule) {
  struct Launch {
    Task task;
    std::vector<int32_t> positions;
  };
  std::vector<std::vector<Launch>> launches(r.steps);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].kind == NodeKind::constant) continue;
    for (size_t cls = 0; cls < s.nodes[i].size(); ++cls) {
      const std::vector<int32_t>& when = schedule[s.row(graph.nodes[i].out, static_cast<int>(cls))];
      for (size_t p = 0; p < when.size(); ++p) {
        // Ready only after the last draw: nothing can need it.
        if (when[p] == kDead || when[p] >= r.steps) continue;
        std::vector<Launch>& step = launches[when[p]];
        if (step.empty() || step.back().task.node != static_cast<int>(i) || step.back().task.cls != static_cast<int>(cls))
          step.push_back({{static_cast<int>(i), static_cast<int>(cls)}, {}});
        step.back().positions.push_back(static_cast<int32_t>(p));
      }
    }
  }
  std::vector<Step> steps(r.steps);
  for (int32_t t = 0; t < r.steps; ++t) {
    Grouping grouping(graph, s);
    for (Launch& launch : launches[t]) grouping.add(steps[t], launch.task, std::move(launch.positions));
  }
  for (int32_t site : graph.order) steps[r.site_step[site]].sites.push_back(site);
  return steps;
}

}  // namespace genfast
