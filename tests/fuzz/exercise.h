// What is done with a mutated file that the reader accepts, to hold it to its promise: every index of a Graph has been checked, so
// walking it, and with -DRUN planning and sampling it, may go wrong only by the typed errors. Used by mutate.cc.
#pragma once
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "base/errors.h"
#include "graph/graph.h"
#ifdef RUN
#include "genfast/genfast.h"
#endif

namespace fuzz {

inline void expect(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

// Every index inside what it refers to, every weight readable.
inline void walk(const genfast::Graph& graph) {
  int64_t reads = 0;
  for (const auto& node : graph.nodes) reads += static_cast<int64_t>(node.sources.size()) * graph.values[node.out].positions;
  if (reads > int64_t{1} << 24) return;  // valid, and only large
  const auto check = [&](const genfast::Source& source, int64_t positions, bool outside) {
    const genfast::Value& value = graph.values.at(source.value);
    for (int64_t p = 0; p < positions; ++p) {
      const int64_t at = genfast::source_position(graph, source, p);
      expect(at >= (outside ? -1 : 0) && at < value.positions, "a table leads outside its source");
    }
    expect(source.channel >= 0 && source.count > 0 && source.channel + source.count <= value.channels,
           "a channel range leaves its source");
  };
  for (const auto& node : graph.nodes) {
    const bool outside = node.kind == genfast::NodeKind::gemm || node.kind == genfast::NodeKind::copy;
    for (const auto& source : node.sources) check(source, graph.values.at(node.out).positions, outside);
    for (const int index : {node.data, node.weight, node.bias})
      expect(index >= -1 && index < static_cast<int>(graph.weights.size()), "a weights index leads outside");
  }
  genfast::Source head;
  head.value = graph.head.value, head.table = graph.head.table, head.channel = graph.head.channel;
  head.count = graph.head.kind == genfast::HeadKind::categorical ? graph.head.levels : 1;
  check(head, graph.sites(), false);
  expect(graph.weights.at(graph.head.values).size >= graph.head.levels, "the head's values are too few");
  auto order = graph.order;
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < order.size(); ++i) expect(order[i] == static_cast<int32_t>(i), "the order is not a permutation");
  expect(static_cast<int64_t>(order.size()) == graph.sites(), "the order has the wrong length");
  volatile float sum = 0;
  for (const auto& weights : graph.weights)
    for (int64_t i = 0; i < weights.size; ++i) sum = sum + weights.data[i];
}

#ifdef RUN
// Two rows through the whole library, when the graph is small enough to try thousands like it.
inline void run(const genfast::Graph& graph) {
  int64_t work = 0;
  for (const auto& value : graph.values) work += value.positions * value.channels;
  for (const auto& node : graph.nodes) work += static_cast<int64_t>(node.sources.size()) * graph.values[node.out].positions;
  if (work > int64_t{1} << 20) return;
  try {
    const auto model = genfast::Model::load(graph.file_data, static_cast<size_t>(graph.file_bytes));
    const auto n = static_cast<size_t>(2 * model.sites());
    std::vector<int32_t> levels(n), other(n);
    std::vector<float> logits(n * static_cast<size_t>(model.outputs()));
    std::vector<double> log_prob(2);
    std::vector<std::vector<float>> conditions;
    genfast::Options options;
    for (const auto& condition : model.conditions()) {
      size_t size = 2;
      for (const int64_t extent : condition.shape) size *= static_cast<size_t>(extent);
      conditions.emplace_back(size, 0.0f);
      options.conditions[condition.name] = conditions.back().data();
    }
    model.sample(2, levels.data(), options);
    for (const int32_t level : levels) expect(level >= 0 && level < model.levels(), "a level outside the levels");
    options.wavefront = false;
    model.sample(2, other.data(), options);
    expect(levels == other, "wavefronts change the sample");
    model.log_prob(2, levels.data(), log_prob.data(), options);
    model.logits(2, levels.data(), logits.data(), options);
    model.explain();
  } catch (const genfast::NotCausalError&) {
  } catch (const genfast::NumericalError&) {
  } catch (const genfast::UnsupportedOpError&) {
  }
}
#endif

inline void exercise(const genfast::Graph& graph) {
  walk(graph);
#ifdef RUN
  run(graph);
#endif
}

}  // namespace fuzz
