// Graph: the immutable description of a model, exactly what docs/format.md says, after validation. Made by read_graph() (reader.h),
// read by plan/ and engine/. It never runs anything, and every index in it has been checked: readers need no bounds checks.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ops.h"

namespace genfast {

enum class NodeKind : uint8_t { constant, lookup, gemm, map, copy, row };

// Index of a table, or kDirect: identity when both sides have as many positions, else broadcast of the source's only position.
inline constexpr int kDirect = -1;

struct Weights {
  const float* data = nullptr;  // 64-byte aligned, owned by the Graph's storage
  int64_t size = 0;
};

// One thing a node reads: `count` channels of `value` from `channel` on, at position table[p]. For gemm, `offset` is k0, the
// undropped K index; for copy it is d0, the first out channel. `broadcast`: one channel feeds every out channel (map only).
struct Source {
  int value = 0;
  int table = kDirect;
  int64_t channel = 0, count = 0;
  int64_t offset = 0;
  bool broadcast = false;
};

struct Node {
  NodeKind kind = NodeKind::constant;
  int out = 0;
  std::string name, source;               // module path and file:line, for messages
  std::vector<Source> sources;            // empty for constant; one for lookup and row; segments, operands or blocks otherwise
  int data = -1, weight = -1, bias = -1;  // indices into weights: constant/lookup/gemm data, row weight, gemm and row bias
  int64_t rows = 0;                       // lookup: rows of its table
  MapOp map_op{};
  RowOp row_op{};
  std::vector<float> params;  // map and row parameters; copy: {fill}
};

struct Value {
  int64_t positions = 0, channels = 0;
  int producer = -1;  // node, or -1 for the input and the conditions
};

struct Condition {
  std::string name;
  int value = 0;
  std::vector<int64_t> shape;  // of one row
  bool integer = false;
  int64_t size = 0;  // integer: exclusive upper bound
};

enum class HeadKind : uint8_t { categorical, bernoulli };

struct Head {
  HeadKind kind = HeadKind::categorical;
  int value = 0, table = kDirect;
  int64_t channel = 0, levels = 0;
  bool probs = false;
  int values = -1;  // weights index: what is fed for each level
};

struct Graph {
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<std::vector<int32_t>> tables;  // grids expanded
  std::vector<Weights> weights;
  std::vector<Condition> conditions;
  Head head;
  std::vector<int64_t> input_shape;  // of one row: [C, H, W], [C, L], [H, W], [T], …
  std::string input_name;
  bool input_integer = false;
  std::vector<int32_t> order;  // site of each rank
  std::vector<std::string> assumed;
  std::string producer, meta;           // meta: a JSON object as text
  std::shared_ptr<const void> storage;  // keeps the bytes that weights point into
  const void* file_data = nullptr;      // the whole file, inside storage
  int64_t file_bytes = 0;

  int64_t sites() const { return values[0].positions; }
};

// The position of `source` that position p of the reader reads, or -1.
inline int64_t source_position(const Graph& graph, const Source& source, int64_t p) {
  if (source.table != kDirect) return graph.tables[source.table][p];
  return graph.values[source.value].positions == 1 ? 0 : p;
}

}  // namespace genfast
