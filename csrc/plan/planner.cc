#include "plan/grouping.h"
#include "plan/memory.h"
#include "plan/schedule.h"

namespace genfast {
namespace {

// Multiply-adds of one position of a product's class: K rows that any of its columns uses, times its columns.
std::vector<int64_t> work_per_position(const Graph& graph, const Structure& s, size_t node) {
  std::vector<int64_t> work;
  for (const NodeClass& cls : s.nodes[node]) {
    int64_t columns = 0, k = 0;
    for (const ChannelRange& range : cls.channels) columns += range.end - range.begin;
    for (const Source& segment : graph.nodes[node].sources)
      for (int64_t j = 0; j < segment.count; ++j) {
        const int source_class = s.class_of(segment.value, segment.channel + j);
        for (const Dep& dep : cls.deps)
          if (dep.value == segment.value && dep.table == segment.table && dep.cls == source_class) {
            ++k;
            break;
          }
      }
    work.push_back(columns * k);
  }
  return work;
}

PlanStats count(const Graph& graph, const Structure& s, const Plan& plan) {
  std::vector<std::vector<int64_t>> work(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (graph.nodes[i].kind == NodeKind::gemm) work[i] = work_per_position(graph, s, i);
  PlanStats stats;
  for (const Step& step : plan.steps) {
    stats.widest_step = std::max<int64_t>(stats.widest_step, static_cast<int64_t>(step.sites.size()));
    stats.groups += static_cast<int64_t>(step.groups.size());
    for (const Group& group : step.groups) {
      stats.tasks += static_cast<int64_t>(group.tasks.size());
      for (const Task& task : group.tasks)
        if (graph.nodes[task.node].kind == NodeKind::gemm)
          stats.multiply_adds += work[task.node][task.cls] * static_cast<int64_t>(group.positions.size());
    }
  }
  return stats;
}

}  // namespace

std::shared_ptr<const Plan> make_plan(const Graph& graph, const PlanOptions& options) {
  const Structure structure = analyse(graph);
  const Readiness when = readiness(graph, structure, options.wavefront);
  auto plan = std::make_shared<Plan>();
  plan->wavefront = options.wavefront;
  plan->steps = group_tasks(graph, structure, when, schedule(graph, structure, when));
  for (const std::vector<NodeClass>& node : structure.nodes) {
    plan->classes.emplace_back();
    for (const NodeClass& cls : node) plan->classes.back().push_back({cls.channels});
  }
  place_values(graph, structure, *plan);
  plan->stats = count(graph, structure, *plan);
  return plan;
}

}  // namespace genfast
