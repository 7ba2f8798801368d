#include <algorithm>
#include <cstdio>
#include <map>
#include <sstream>

#include "plan/plan.h"

namespace genfast {
namespace {

const char* kind_name(NodeKind kind) {
  switch (kind) {
    case NodeKind::constant:
      return "const";
    case NodeKind::lookup:
      return "lookup";
    case NodeKind::gemm:
      return "gemm";
    case NodeKind::map:
      return "map";
    case NodeKind::copy:
      return "copy";
    case NodeKind::row:
      return "row";
    case NodeKind::attend:
      return "attend";
  }
  return "?";
}

std::string human(double n, const char* const* units, double base) {
  int unit = 0;
  while (n >= base && units[unit + 1]) {
    n /= base;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, n < 10 && unit > 0 ? "%.1f%s" : "%.0f%s", n, units[unit]);
  return text;
}

std::string count(double n) {
  static const char* const units[] = {"", " k", " M", " G", " T", nullptr};
  return human(n, units, 1000);
}

std::string bytes(double n) {
  static const char* const units[] = {" B", " KiB", " MiB", " GiB", nullptr};
  return human(n, units, 1024);
}

// "1.2 MiB", or with what is of which type where not all is f32.
std::string weight_bytes(const Graph& graph) {
  int64_t of_type[static_cast<int>(WeightType::count)] = {}, all = 0;
  for (const Weights& w : graph.weights) {
    of_type[static_cast<int>(w.type)] += w.byte_count();
    all += w.byte_count();
  }
  std::string parts;
  for (int type = 0; type < static_cast<int>(WeightType::count); ++type)
    if (of_type[type])
      parts += (parts.empty() ? "" : ", ") + std::string(kWeightTypes[type].name) + " " + bytes(static_cast<double>(of_type[type]));
  const bool reduced = of_type[0] != all;
  return bytes(static_cast<double>(all)) + (reduced ? " (" + parts + ")" : "");
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t d = 0; d < shape.size(); ++d) text += (d ? ", " : "") + std::to_string(shape[d]);
  return text + "]";
}

std::string head_text(const Head& head) {
  if (head.kind == HeadKind::none) return "numbers that are given";
  if (head.has_levels()) return std::to_string(head.levels) + " levels";
  const std::string family = info(head.family).name;
  return head.components > 1 ? "a mixture of " + std::to_string(head.components) + " " + family : family;
}

void describe_attention(const Graph& graph, std::ostream& out) {
  std::map<std::string, int> shapes;
  for (const Node& node : graph.nodes) {
    if (node.kind != NodeKind::attend) continue;
    const Attention& a = node.attention;
    std::string shape = std::to_string(a.heads) + (a.heads == 1 ? " head" : " heads");
    if (a.kv_heads != a.heads) shape += " over " + std::to_string(a.kv_heads);
    ++shapes[shape + " of " + std::to_string(a.dim) + ", " + std::to_string(graph.values[node.out].positions) + " positions over " +
             std::to_string(a.keys) + " keys"];
  }
  for (const auto& [shape, n] : shapes) out << "attention    " << n << " of " << shape << "\n";
}

void describe_loops(const Graph& graph, std::ostream& out) {
  std::map<int32_t, int> size;
  for (int32_t loop : graph.loop)
    if (loop >= 0) ++size[loop];
  if (size.empty()) return;
  int nodes = 0;
  for (const auto& loop : size) nodes += loop.second;
  out << "loops        " << size.size() << " of " << nodes << " nodes together, position after position\n";
}

std::string times(double ratio) {
  char text[32];
  std::snprintf(text, sizeof text, ratio < 0.01 ? "%.1g" : "%.2f", ratio);
  return text;
}

void describe_rounds(const Graph& graph, const Plan& plan, std::ostream& out) {
  if (plan.body < 0) return;
  size_t once = 0, each = 0;
  for (const Step& step : plan.steps)
    for (const Group& group : step.groups) (&step == &plan.steps.back() ? each : once) += group.tasks.size();
  const size_t states = graph.iteration.states.size();
  out << "rounds       " << graph.iteration.rounds << " over " << states << (states == 1 ? " state" : " states");
  if (graph.iteration.jitter > 0) out << ", rolled by up to " << graph.iteration.jitter;
  out << "; " << each << " launches each, " << once << " once before them\n";
}

// The channels of one draw and the draws of one step, in words.
void describe_steps(const Graph& graph, const Plan& plan, std::ostream& out) {
  const int64_t draws = plan.stats.naive_passes;
  if (plan.output && draws == 0) {
    out << "steps        " << plan.steps.size() << ", every site given\n";
    return;
  }
  const auto after = std::find_if(plan.steps.rbegin(), plan.steps.rend(), [](const Step& step) { return !step.sites.empty(); });
  out << "steps        " << plan.steps.rend() - after;
  if (static_cast<int64_t>(plan.known.size()) == graph.sites())
    out << ", every site known\n";
  else if (plan.wavefront)
    out << " wavefront levels for " << draws << (graph.head.by_position() ? " positions of " : "")
        << (graph.head.by_position() ? std::to_string(graph.channels()) + " channels" : " sites") << ", at most "
        << plan.stats.widest_step << " sites at once\n";
  else
    out << (graph.head.by_position() ? ", one position each\n" : ", one site each\n");
  int64_t without = 0;
  for (int32_t site : plan.known) without += graph.head_position(site) < 0;
  if (plan.output) out << "then         " << after - plan.steps.rbegin() << " for the output\n";
  if (!plan.known.empty())
    out << "known        " << plan.known.size() << " before the first step, " << without << " of them without a distribution\n";
}

}  // namespace

std::string describe(const Graph& graph, const Plan& plan) {
  std::map<std::string, int> kinds;
  for (const Node& node : graph.nodes) ++kinds[kind_name(node.kind)];
  const int64_t sites = graph.sites();

  std::ostringstream out;
  out << "input        " << graph.input_name << " " << shape_text(graph.input_shape) << ", " << sites << " sites of "
      << head_text(graph.head) << "\n";
  if (graph.output.value >= 0) out << "output       " << shape_text(graph.output.shape) << "\n";
  for (const Condition& condition : graph.conditions) {
    out << "condition    " << condition.name << " " << shape_text(condition.shape) << " "
        << (condition.integer ? "int below " + std::to_string(condition.size) : "float") << "\n";
  }
  out << "nodes        " << graph.nodes.size() << " (";
  bool first = true;
  for (const auto& [kind, n] : kinds) {
    out << (first ? "" : ", ") << n << ' ' << kind;
    first = false;
  }
  out << ")\n";
  describe_attention(graph, out);
  describe_loops(graph, out);
  describe_steps(graph, plan, out);
  describe_rounds(graph, plan, out);
  out << "launches     " << plan.stats.tasks << " in " << plan.stats.groups << " groups, "
      << static_cast<double>(plan.stats.tasks * 10 / static_cast<int64_t>(plan.steps.size())) / 10 << " a step\n";
  out << "work         " << count(static_cast<double>(plan.stats.multiply_adds)) << " multiply-adds a sample";
  if (plan.stats.forward_multiply_adds > 0) {
    const double pass = static_cast<double>(plan.stats.multiply_adds) / static_cast<double>(plan.stats.forward_multiply_adds);
    out << ", " << times(pass) << " of one pass of the network";
    if (plan.stats.naive_passes > 0 && !plan.output)
      out << ", " << times(pass / static_cast<double>(plan.stats.naive_passes)) << " of a pass for every "
          << (graph.head.by_position() ? "position" : "site");
  }
  out << "\n";
  out << "weights      " << weight_bytes(graph) << "\n";
  out << "activations  " << bytes(static_cast<double>(plan.floats_per_row) * 4) << " a sample in flight";
  if (plan.stats.cache_floats > 0)
    out << ", " << 100 * plan.stats.cache_floats / plan.floats_per_row << " % of it keys and values of attention";
  out << "\n";
  for (const std::string& line : graph.assumed) out << "assumed      " << line << "\n";
  return out.str();
}

}  // namespace genfast
