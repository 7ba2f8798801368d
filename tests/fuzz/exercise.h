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

inline int64_t reads_of(const genfast::Graph& graph) {
  int64_t reads = 0;
  for (const auto& node : graph.nodes) {
    const int64_t positions = graph.values[node.out].positions;
    reads += static_cast<int64_t>(node.sources.size()) * positions;
    if (node.kind == genfast::NodeKind::attend) reads += positions * node.attention.keys;
  }
  return reads;
}

// The keys that each position sees exist, and so does every bias.
inline void walk_attend(const genfast::Graph& graph, const genfast::Node& node) {
  const genfast::Attention& a = node.attention;
  const int64_t positions = graph.values.at(node.out).positions;
  expect(a.heads % a.kv_heads == 0 && a.heads * a.dim_v == graph.values.at(node.out).channels, "the heads do not fit");
  expect((a.begin == genfast::kDirect) == (a.bitmap != genfast::kDirect), "neither an interval nor a bitmap");
  for (int64_t p = 0; p < positions; ++p) {
    if (a.bitmap == genfast::kDirect) {
      const int32_t begin = graph.tables.at(a.begin).at(p), end = graph.tables.at(a.end).at(p);
      expect(begin >= 0 && begin <= end && end <= a.keys, "an interval leaves the keys");
      continue;
    }
    for (int64_t j = a.keys; j < 32 * a.words(); ++j)
      expect((graph.tables.at(a.bitmap).at(p * a.words() + j / 32) >> (j % 32) & 1) == 0, "a bitmap leaves the keys");
  }
  if (node.bias >= 0) expect(graph.weights.at(node.bias).size >= a.heads * positions * a.keys, "the bias is too short");
}

// Every index inside what it refers to, every weight readable.
inline void walk(const genfast::Graph& graph) {
  if (reads_of(graph) > int64_t{1} << 24) return;  // valid, and only large
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
    for (size_t i = 0; i < node.sources.size(); ++i)
      check(node.sources[i],
            node.kind == genfast::NodeKind::attend && i > 0 ? node.attention.keys : graph.values.at(node.out).positions, outside);
    if (node.kind == genfast::NodeKind::attend) walk_attend(graph, node);
    for (const int index : {node.data, node.weight, node.bias})
      expect(index >= -1 && index < static_cast<int>(graph.weights.size()), "a weights index leads outside");
  }
  const genfast::Head& head = graph.head;
  for (int64_t site = 0; site < graph.sites(); ++site) {
    const int64_t at = graph.head_position(site);
    expect(at >= -1 && at < graph.values.at(head.value).positions, "the head leads outside its source");
    expect(at >= 0 || head.kind == genfast::HeadKind::categorical || head.kind == genfast::HeadKind::none,
           "a site without a distribution");
  }
  expect(head.channel >= 0 && head.channel + genfast::head_channels(head, graph.channels()) <= graph.values[head.value].channels,
         "the head leaves its source");
  if (head.has_levels()) expect(graph.weights.at(head.values).size >= head.levels, "the head's values are too few");
  if (graph.output.value >= 0) {
    int64_t size = 1;
    for (const int64_t extent : graph.output.shape) size *= extent;
    const genfast::Value& output = graph.values.at(graph.output.value);
    expect(size == output.positions * output.channels, "the output has another size than its shape");
  }
  for (const auto& state : graph.iteration.states) {
    const genfast::Value &value = graph.values.at(state.value), &next = graph.values.at(state.next);
    expect(value.producer < 0, "something computes a state");
    expect(value.positions == next.positions && value.channels == next.channels, "a state changes its size");
  }
  auto order = graph.order;
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < order.size(); ++i) expect(order[i] == static_cast<int32_t>(i), "the order is not a permutation");
  expect(static_cast<int64_t>(order.size()) == graph.sites(), "the order has the wrong length");
  volatile float sum = 0;
  for (const auto& weights : graph.weights)
    for (int64_t i = 0; i < weights.size; ++i) sum = sum + weights.data[i];
}

#ifdef RUN
// A scale near the largest float draws infinities, which are no numbers to give back.
template <class T>
bool all_finite(const std::vector<T>& x) {
  return std::all_of(x.begin(), x.end(), [](T number) { return number - number == 0; });
}

// Two rows through the whole library, when the graph is small enough to try thousands like it.
template <class T>
void run_rows(const genfast::Model& model, const genfast::Options& options) {
  const auto n = static_cast<size_t>(2 * model.sites());
  std::vector<T> x(n), other(n);
  const auto places = model.outputs_by_position() ? model.positions() : model.sites();
  std::vector<float> outputs(static_cast<size_t>(2 * places * model.outputs()));
  std::vector<double> log_prob(2), lower(n), upper(n);
  model.sample(2, x.data(), options);
  if (model.levels()) {
    const auto fixed = model.fixed_sites();
    for (size_t i = 0; i < n; ++i) {
      const auto site = static_cast<int32_t>(i % static_cast<size_t>(model.sites()));
      const bool drawn = std::find(fixed.begin(), fixed.end(), site) == fixed.end();
      expect(!drawn || (x[i] >= 0 && static_cast<int64_t>(x[i]) < model.levels()), "a level outside the levels");
    }
  }
  genfast::Options one = options;
  one.wavefront = false;
  model.sample(2, other.data(), one);
  expect(x == other, "wavefronts change the sample");
  if (!all_finite(x)) return;
  model.log_prob(2, x.data(), log_prob.data(), options);
  model.logits(2, x.data(), outputs.data(), options);
  model.rosenblatt(2, x.data(), lower.data(), upper.data(), options);
  std::vector<uint8_t> known(static_cast<size_t>(model.sites()), 0);
  const auto order = model.order();
  for (size_t i = 0; i < order.size() / 2; ++i) known[static_cast<size_t>(order[i])] = 1;
  one.known = known.data();
  model.sample(2, other.data(), one);
  expect(x == other, "known sites change the others");
  model.explain();
}

constexpr int64_t kMostRounds = 50;

// Two rows through the output. A sample's is that of its sites.
template <class T>
void run_output(const genfast::Model& model, const genfast::Options& options) {
  size_t size = 2;
  for (const int64_t extent : model.output_shape()) size *= static_cast<size_t>(extent);
  const auto n = static_cast<size_t>(2 * model.sites());
  std::vector<T> x(n, T{0});
  std::vector<float> drawn(size), given(size), again(size);
  if (model.has_distribution()) {
    model.generate(2, drawn.data(), x.data(), options);
    genfast::Options one = options;
    one.wavefront = false;
    model.generate(2, again.data(), static_cast<T*>(nullptr), one);
    expect(drawn == again, "wavefronts change the output");
  }
  if (!all_finite(x)) return;
  model.apply(2, x.data(), given.data(), options);
  expect(!model.has_distribution() || drawn == given, "given sites change the output");
  model.explain();
}

inline void run(const genfast::Graph& graph) {
  int64_t work = reads_of(graph);
  for (const auto& value : graph.values) work += value.positions * value.channels;
  if (work > int64_t{1} << 20) return;
  try {
    const auto model = genfast::Model::load(graph.file_data, static_cast<size_t>(graph.file_bytes));
    std::vector<std::vector<float>> conditions;
    genfast::Options options;
    for (const auto& condition : model.conditions()) {
      size_t size = 2;
      for (const int64_t extent : condition.shape) size *= static_cast<size_t>(extent);
      conditions.emplace_back(size, 0.0f);
      options.conditions[condition.name] = conditions.back().data();
    }
    if (model.has_output() && model.rounds() <= kMostRounds)
      model.levels() ? run_output<int32_t>(model, options) : run_output<float>(model, options);
    if (!model.has_distribution()) return;
    if (model.levels())
      run_rows<int32_t>(model, options);
    else
      run_rows<float>(model, options);
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
