// Graph: the immutable description of a model, exactly what docs/format.md says, after validation. Made by read_graph() (reader.h),
// read by plan/ and engine/. It never runs anything, and every index in it has been checked: readers need no bounds checks.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/families.h"
#include "base/ops.h"
#include "base/weight_type.h"

namespace genfast {

enum class NodeKind : uint8_t { constant, lookup, gemm, map, copy, row, attend };

// Index of a table, or kDirect: identity when both sides have as many positions, else broadcast of the source's only position.
inline constexpr int kDirect = -1;

// 64-byte aligned, owned by the Graph's storage. Only the data of a gemm or lookup may be other than f32.
struct Weights {
  const float* data = nullptr;  // the bytes of an f32 array, else null
  int64_t size = 0;             // numbers
  WeightType type = WeightType::f32;
  const void* bytes = nullptr;
  int64_t byte_count() const { return size * info(type).bytes; }
};

// One thing a node reads: `count` channels of `value` from `channel` on, at position table[p]. For gemm, `offset` is k0, the
// undropped K index; for copy it is d0, the first out channel; for attend it is `step`, the distance between heads, and the
// tables of k and v map keys, not positions. `broadcast`: one channel feeds every out channel (map only).
struct Source {
  int value = 0;
  int table = kDirect;
  int64_t channel = 0, count = 0;
  int64_t offset = 0;
  bool broadcast = false;
};

// What an attend node computes: docs/format.md, "Attend". Its sources are q, k and v.
struct Attention {
  int64_t heads = 1, kv_heads = 1, dim = 1, dim_v = 1, keys = 1;
  float scale = 1;
  int begin = kDirect, end = kDirect;  // tables of the visible interval [begin[p], end[p]) of keys, or kDirect with a bitmap
  int bitmap = kDirect;                // table of words() words a position
  int64_t words() const { return (keys + 31) / 32; }
};

struct Node {
  NodeKind kind = NodeKind::constant;
  int out = 0;
  std::string name, source;               // module path and file:line, for messages
  std::vector<Source> sources;            // empty for constant; one for lookup and row; segments, operands, blocks, or q, k, v
  int data = -1, weight = -1, bias = -1;  // indices into weights: constant/lookup/gemm data, row weight, gemm, row, attend bias
  int scales = -1;                        // gemm and lookup of i8 data: index into weights
  int64_t rows = 0;                       // lookup: rows of its table
  MapOp map_op{};
  RowOp row_op{};
  std::vector<float> params;  // map and row parameters; copy: {fill}
  Attention attention;        // attend
};

struct Value {
  int64_t positions = 0, channels = 0;
  int producer = -1;  // node, or -1 for the input, the conditions and the states
};

struct Condition {
  std::string name;
  int value = 0;
  std::vector<int64_t> shape;  // of one row
  bool integer = false;
  int64_t size = 0;  // integer: exclusive upper bound
};

enum class HeadKind : uint8_t { categorical, bernoulli, logistic_mixture, family, none };

enum class Link : uint8_t { identity, exp, softplus, sigmoid, tanh, square, count };
inline constexpr const char* kLinkNames[] = {"identity", "exp", "softplus", "sigmoid", "tanh", "square"};

// A parameter of a family: scale · link(channel) + shift, component i from channel `channel + i` of the head's.
struct HeadParam {
  int64_t channel = 0;
  Link link = Link::identity;
  float scale = 1, shift = 0;
};

struct Head {
  HeadKind kind = HeadKind::categorical;
  // table maps sites (logistic_mixture: positions) to positions of value; an entry of -1: the site has no distribution.
  int value = 0, table = kDirect;
  int64_t channel = 0, levels = 0;  // levels is 0 for family and none: their sites hold numbers
  bool probs = false;
  int values = -1;             // weights index: what is fed for each level; -1 for family
  int64_t components = 1;      // logistic_mixture and family
  bool coupled = false;        // logistic_mixture
  float low = 0, high = 0;     // logistic_mixture
  Family family{};             // family
  int64_t mixture_logits = 0;  // family of several components: their first channel, from `channel` on
  std::vector<HeadParam> params;

  bool by_position() const { return kind == HeadKind::logistic_mixture; }
  bool has_levels() const { return kind != HeadKind::family && kind != HeadKind::none; }
};

// Channels a head reads from `channel` on; `channels`: those of value 0.
inline int64_t head_channels(const Head& head, int64_t channels) {
  switch (head.kind) {
    case HeadKind::categorical:
      return head.levels;
    case HeadKind::bernoulli:
      return 1;
    case HeadKind::logistic_mixture:
      return head.components * (1 + channels * (head.coupled ? 3 : 2));
    case HeadKind::none:
      return 0;
    case HeadKind::family:
      break;
  }
  int64_t end = head.components > 1 ? head.mixture_logits + head.components : 0;
  for (const HeadParam& param : head.params) end = param.channel + head.components > end ? param.channel + head.components : end;
  return end;
}

// What a sample is made for, where that is not its sites: docs/format.md, "Output".
struct Output {
  int value = -1;              // -1: the sites
  std::vector<int64_t> shape;  // of one row
};

// A value that a round puts `next` in the place of: docs/format.md, "Rounds".
struct State {
  int value = 0, next = 0;
  float initial = 0;
};

struct Iteration {
  int64_t rounds = 0;  // 0: the graph is not iterated
  std::vector<State> states;
  int64_t jitter = 0;
};

struct Graph {
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<std::vector<int32_t>> tables;  // grids expanded
  std::vector<Weights> weights;
  std::vector<Condition> conditions;
  Head head;
  Output output;
  Iteration iteration;
  int64_t bos = 0;                   // level of a site without a distribution that is not given
  std::vector<int64_t> input_shape;  // of one row: [C, H, W], [C, L], [H, W], [T], …
  std::string input_name;
  bool input_integer = false;
  std::vector<int32_t> order;  // site of each rank
  std::vector<int32_t> loop;   // [node]: its loop (loops.h), or -1
  std::vector<std::string> assumed;
  std::string producer, meta;           // meta: a JSON object as text
  std::shared_ptr<const void> storage;  // keeps the bytes that weights point into
  const void* file_data = nullptr;      // the whole file, inside storage
  int64_t file_bytes = 0;

  // Site c · positions() + p is channel c of position p of value 0.
  int64_t positions() const { return values[0].positions; }
  int64_t channels() const { return values[0].channels; }
  int64_t sites() const { return positions() * channels(); }
  // Whether all sites are there before anything reads one, since an output is made of them: given, or drawn from constants. Then
  // the channels of value 0 are read together.
  bool sites_together() const {
    if (output.value < 0) return false;
    if (iteration.rounds > 0 || head.kind == HeadKind::none) return true;
    const int from = values[static_cast<size_t>(head.value)].producer;
    return from >= 0 && nodes[static_cast<size_t>(from)].kind == NodeKind::constant;
  }
  // Uniforms a sample takes.
  int64_t uniforms() const { return sites() + (iteration.jitter > 0 ? 2 * iteration.rounds : 0); }
  // Where the head reads what says the distribution of a site, or -1.
  int64_t head_position(int64_t site) const {
    if (head.kind == HeadKind::none) return -1;
    const int64_t at = head.by_position() ? site % positions() : site;
    if (head.table != kDirect) return tables[head.table][at];
    return values[head.value].positions == 1 ? 0 : at;
  }
};

// The position of `source` that position p of the reader reads, or -1.
inline int64_t source_position(const Graph& graph, const Source& source, int64_t p) {
  if (source.table != kDirect) return graph.tables[source.table][p];
  return graph.values[source.value].positions == 1 ? 0 : p;
}

}  // namespace genfast
