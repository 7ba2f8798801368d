// Structure: which (value, channel class, position) reads which. The rest of plan/ sees only this and treats all node kinds alike.
// Zero weights count as structure: a tap or channel whose weights are all zero is not read.
#pragma once
#include <cstdint>
#include <vector>

#include "graph/graph.h"
#include "plan/plan.h"

namespace genfast {

// The class reads class `cls` of `value` at source_position(p).
struct Dep {
  int value, cls, table;
};

struct NodeClass {
  std::vector<ChannelRange> channels;
  std::vector<Dep> deps;
};

struct Structure {
  std::vector<std::vector<NodeClass>> nodes;        // [node][class]
  std::vector<int> first_row;                       // [value] row of the value's class 0 in per-class arrays; one more at the end
  std::vector<std::vector<int32_t>> channel_class;  // [value][channel]; empty when the value has one class

  int rows() const { return first_row.back(); }
  int row(int value, int cls) const { return first_row[value] + cls; }
  int classes(int value) const { return first_row[value + 1] - first_row[value]; }
  int class_of(int value, int64_t channel) const { return channel_class[value].empty() ? 0 : channel_class[value][channel]; }
};

Structure analyse(const Graph& graph);

// Where the head reads the logits of a site, and the classes it reads there.
inline Source head_source(const Graph& graph) {
  return {graph.head.value,
          graph.head.table,
          graph.head.channel,
          graph.head.kind == HeadKind::categorical ? graph.head.levels : 1,
          0,
          false};
}
std::vector<Dep> head_deps(const Graph& graph, const Structure& structure);

// Position of dep's value that position p reads, or -1.
inline int64_t dep_position(const Graph& graph, const Dep& dep, int64_t p) {
  if (dep.table != kDirect) return graph.tables[dep.table][p];
  return graph.values[dep.value].positions == 1 ? 0 : p;
}

}  // namespace genfast
