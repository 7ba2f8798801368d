#include "base/errors.h"
#include "plan/grouping.h"
#include "plan/memory.h"
#include "plan/schedule.h"
#include "plan/visible.h"

namespace genfast {
namespace {

int64_t forward_work(const Graph& graph) {
  int64_t work = 0;
  for (const Node& node : graph.nodes) {
    const Value& out = graph.values[node.out];
    const Attention& a = node.attention;
    if (node.kind == NodeKind::gemm)
      for (const Source& segment : node.sources) work += out.positions * out.channels * segment.count;
    if (node.kind == NodeKind::attend) work += out.positions * a.keys * a.heads * (a.dim + a.dim_v);
  }
  return work;
}

int64_t task_work(const Graph& graph, const Row& row, const std::vector<int32_t>& positions) {
  if (row.keys < 0) return row.work * static_cast<int64_t>(positions.size());
  int64_t keys = 0;
  for (int32_t p : positions)
    for_each_visible(graph, graph.nodes[row.node].attention, p, [&](int64_t begin, int64_t end) { keys += end - begin; });
  return row.work * keys;
}

int64_t cache_floats(const Graph& graph, const Plan& plan) {
  std::vector<uint8_t> cached(graph.values.size(), 0);
  for (const Node& node : graph.nodes)
    if (node.kind == NodeKind::attend) cached[node.sources[1].value] = cached[node.sources[2].value] = 1;
  int64_t floats = 0;
  for (size_t v = 0; v < cached.size(); ++v)
    for (int32_t offset : plan.offset[v])
      if (cached[v] && offset >= 0) floats += plan.stride[v];
  return std::min(floats, plan.floats_per_row);
}

PlanStats count(const Graph& graph, const Structure& s, const Readiness& when, const Plan& plan) {
  PlanStats stats;
  for (const Step& step : plan.steps) {
    stats.widest_step = std::max(stats.widest_step, static_cast<int64_t>(step.sites.size()));
    stats.groups += static_cast<int64_t>(step.groups.size());
    int64_t work = 0;
    for (const Group& group : step.groups) {
      stats.tasks += static_cast<int64_t>(group.tasks.size());
      for (const Task& task : group.tasks)
        work += task_work(graph, s.rows[s.first_row[graph.nodes[task.node].out] + task.cls], group.positions);
    }
    stats.step_multiply_adds = std::max(stats.step_multiply_adds, work);
    stats.multiply_adds += plan.body >= 0 && &step == &plan.steps.back() ? work * graph.iteration.rounds : work;
  }
  stats.forward_multiply_adds = forward_work(graph);
  stats.naive_passes = static_cast<int64_t>(when.draws.size());
  stats.cache_floats = cache_floats(graph, plan);
  return stats;
}

}  // namespace

std::shared_ptr<const Plan> make_plan(const Graph& graph, const PlanOptions& options) {
  if (!options.known.empty() && static_cast<int64_t>(options.known.size()) != graph.sites())
    throw ArgumentError("known: expected " + std::to_string(graph.sites()) + " sites, got " + std::to_string(options.known.size()));
  if (options.output && graph.output.value < 0) throw ArgumentError("the graph has no output");
  const Structure structure = analyse(graph);
  const Readiness when = readiness(graph, structure, options);
  auto plan = std::make_shared<Plan>();
  plan->wavefront = options.wavefront;
  plan->output = options.output;
  plan->body = when.body;
  for (int32_t site : graph.order)
    if (when.site_step[site] < 0) plan->known.push_back(site);
  plan->steps = group_tasks(graph, structure, when, schedule(graph, structure, when, options.output));
  plan->classes = structure.classes;
  place_values(graph, structure, *plan);
  plan->stats = count(graph, structure, when, *plan);
  return plan;
}

}  // namespace genfast
