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

}  // namespace

std::string describe(const Graph& graph, const Plan& plan) {
  std::map<std::string, int> kinds;
  for (const Node& node : graph.nodes) ++kinds[kind_name(node.kind)];
  const int64_t sites = graph.sites();

  std::ostringstream out;
  out << "input        " << graph.input_name << " [";
  for (size_t d = 0; d < graph.input_shape.size(); ++d) out << (d ? ", " : "") << graph.input_shape[d];
  out << "], " << sites << " sites of " << graph.head.levels << " levels\n";
  for (const Condition& condition : graph.conditions) {
    out << "condition    " << condition.name << " [";
    for (size_t d = 0; d < condition.shape.size(); ++d) out << (d ? ", " : "") << condition.shape[d];
    out << "] " << (condition.integer ? "int below " + std::to_string(condition.size) : "float") << "\n";
  }
  out << "nodes        " << graph.nodes.size() << " (";
  bool first = true;
  for (const auto& [kind, n] : kinds) {
    out << (first ? "" : ", ") << n << ' ' << kind;
    first = false;
  }
  out << ")\n";
  out << "steps        " << plan.steps.size();
  if (plan.wavefront)
    out << " wavefront levels for " << sites << " sites, at most " << plan.stats.widest_step << " sites at once\n";
  else
    out << ", one site each\n";
  out << "launches     " << plan.stats.tasks << " in " << plan.stats.groups << " groups, "
      << static_cast<double>(plan.stats.tasks * 10 / static_cast<int64_t>(plan.steps.size())) / 10 << " a step\n";
  out << "work         " << count(static_cast<double>(plan.stats.multiply_adds)) << " multiply-adds a sample\n";
  out << "weights      " << weight_bytes(graph) << "\n";
  out << "activations  " << bytes(static_cast<double>(plan.floats_per_row) * 4) << " a sample in flight\n";
  for (const std::string& line : graph.assumed) out << "assumed      " << line << "\n";
  return out.str();
}

}  // namespace genfast
