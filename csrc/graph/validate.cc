#include "graph/validate.h"

#include <algorithm>
#include <string>
#include <unordered_set>

#include "base/errors.h"
#include "graph/json.h"
#include "graph/limits.h"
#include "graph/weights.h"

namespace genfast {
namespace {

const char* const kKindNames[] = {"const", "lookup", "gemm", "map", "copy", "row", "attend"};
const char* const kSourceNames[] = {"", "in", "segments", "args", "blocks", "in", ""};

std::string text(int64_t n) { return std::to_string(n); }

class Validator {
 public:
  Validator(Graph& graph, const std::vector<TableInfo>& tables)
      : graph_(graph), tables_(tables), weights_(graph.weights), written_(graph.values.size(), false) {}

  void run() {
    within([] { return std::string("input"); }, [&] { input(); });
    for (size_t i = 0; i < graph_.conditions.size(); ++i)
      within([&] { return "conditions[" + text(i) + "] " + in_quotes(graph_.conditions[i].name); },
             [&] { condition(graph_.conditions[i]); });
    within([] { return std::string("iterate"); }, [&] { states(); });
    for (size_t i = 0; i < graph_.nodes.size(); ++i) within([&] { return node_label(i); }, [&] { node(static_cast<int>(i)); });
    const auto unwritten = std::find(written_.begin(), written_.end(), false);
    if (unwritten != written_.end()) throw FormatError("value " + text(unwritten - written_.begin()) + " is never written");
    for (const auto& [index, i] : delayed_)
      within([&, index = index] { return node_label(index); },
             [&, index = index, i = i] { this->source(graph_.nodes[index], graph_.nodes[index].sources[i]); });
    within([] { return std::string("head"); }, [&] { head(); });
    within([] { return std::string("output"); }, [&] { output(); });
    within([] { return std::string("iterate"); }, [&] { rounds(); });
  }

 private:
  std::string node_label(size_t i) const {
    const Node& node = graph_.nodes[i];
    return "node " + text(i) + " " + in_quotes(node.name) + " (" + kKindNames[static_cast<int>(node.kind)] + ")";
  }

  void write(int value, int producer) {
    if (value >= static_cast<int64_t>(graph_.values.size()))
      throw FormatError("writes value " + text(value) + ", there are " + text(graph_.values.size()));
    if (written_[value]) throw FormatError("writes value " + text(value) + ", which is already written");
    written_[value] = true;
    graph_.values[value].producer = producer;
  }

  // Bounds what a small file can make a planner do: one sum over everything that is read or made.
  void count_reads(int64_t sources, int64_t positions) {
    reads_ += std::max<int64_t>(1, sources) * positions;
    if (reads_ > kMaxReads) throw FormatError("sources × positions of all nodes together exceed 2^30");
  }

  void input() {
    if (graph_.values.empty()) throw FormatError("there is no value 0");
    const Value& value = graph_.values[0];
    if (product(graph_.input_shape) != value.positions * value.channels)
      throw FormatError("shape " + shape_text(graph_.input_shape) + " does not have the " + text(value.positions) + " × " +
                        text(value.channels) + " elements of value 0");
    if (value.positions * value.channels > kMaxPositions) throw FormatError("value 0 has more than 2^24 sites");
    if (graph_.output.value < 0 && value.channels > 1 && graph_.input_shape[0] != value.channels)
      throw FormatError("shape " + shape_text(graph_.input_shape) + " does not begin with the " + text(value.channels) +
                        " channels of value 0");
    write(0, -1);
  }

  void condition(const Condition& condition) {
    if (condition.name.empty()) throw FormatError("name is empty");
    if (!condition_names_.insert(condition.name).second) throw FormatError("the name is taken by an earlier condition");
    const std::vector<int64_t>& shape = condition.shape;
    if (shape.size() > 3) throw FormatError("shape has more than three dimensions");
    write(condition.value, -1);
    const Value& value = graph_.values[condition.value];
    const int64_t channels = shape.empty() ? 1 : shape[0];
    const int64_t positions = product(shape) / channels;
    if (value.positions != positions || value.channels != channels)
      throw FormatError("shape " + shape_text(shape) + " means " + text(positions) + " positions × " + text(channels) +
                        " channels, value " + text(condition.value) + " has " + text(value.positions) + " × " +
                        text(value.channels));
    count_reads(1, positions);
  }

  void node(int index) {
    Node& node = graph_.nodes[index];
    if (node.out >= static_cast<int64_t>(graph_.values.size()))
      throw FormatError("writes value " + text(node.out) + ", there are " + text(graph_.values.size()));
    const Value& out = graph_.values[node.out];
    count_reads(static_cast<int64_t>(node.sources.size()), out.positions);
    if (node.kind == NodeKind::map)  // an operand of the file states only where its channels begin
      for (Source& operand : node.sources) operand.count = operand.broadcast ? 1 : out.channels;
    for (size_t i = 0; i < node.sources.size() && node.kind != NodeKind::attend; ++i)
      within([&] { return kSourceNames[static_cast<int>(node.kind)] + ("[" + text(i) + "]"); },
             [&] {
               if (is_delayed(node, node.sources[i]))
                 delayed_.emplace_back(index, i);
               else
                 source(node, node.sources[i]);
             });
    switch (node.kind) {
      case NodeKind::constant:
        weights_.check(node.data, out.positions * out.channels, "data");
        break;
      case NodeKind::lookup:
        weights_.check_data(node.data, node.rows * out.channels, "data");
        scales(node, node.rows);
        break;
      case NodeKind::gemm:
        gemm(node, out);
        break;
      case NodeKind::row:
        row(node, out);
        break;
      case NodeKind::attend:
        attend(node, out);
        break;
      case NodeKind::map:
      case NodeKind::copy:
        break;
    }
    write(node.out, index);  // last: a node may not read its own value
  }

  // A read of what is not written yet: checked when all is, and once more in loops.cc.
  bool is_delayed(const Node& node, const Source& source) const {
    return may_read_outside(node) && source.table != kDirect && source.value < static_cast<int64_t>(graph_.values.size()) &&
           !written_[source.value];
  }

  static bool may_read_outside(const Node& node) { return node.kind == NodeKind::gemm || node.kind == NodeKind::copy; }

  void source(const Node& node, const Source& source) const {
    const Value& out = graph_.values[node.out];
    reads(source.value, source.table, out.positions, may_read_outside(node));
    channels(source.value, source.channel, source.count);
    if (node.kind == NodeKind::copy && source.offset + source.count > out.channels)
      throw FormatError("fills channels " + text(source.offset) + " to " + text(source.offset + source.count) + ", value " +
                        text(node.out) + " has " + text(out.channels));
  }

  void reads(int value, int table, int64_t positions, bool may_read_outside) const {
    if (value >= static_cast<int64_t>(graph_.values.size()))
      throw FormatError("reads value " + text(value) + ", there are " + text(graph_.values.size()));
    if (!written_[value]) throw FormatError("reads value " + text(value) + ", which nothing before it writes");
    const int64_t source_positions = graph_.values[value].positions;
    if (table == kDirect) {
      if (source_positions != positions && source_positions != 1)
        throw FormatError("reads value " + text(value) + " of " + text(source_positions) + " positions without a table, for " +
                          text(positions));
      return;
    }
    if (table >= static_cast<int64_t>(tables_.size()))
      throw FormatError("reads through table " + text(table) + ", there are " + text(tables_.size()));
    const TableInfo& info = tables_[table];
    if (info.length != positions)
      throw FormatError("table " + text(table) + " has " + text(info.length) + " entries for " + text(positions) + " positions");
    if (info.last >= source_positions)
      throw FormatError("table " + text(table) + " has the entry " + text(info.last) + ", value " + text(value) + " has " +
                        text(source_positions) + " positions");
    if (info.first < -1)
      throw FormatError("table " + text(table) + " has the entry " + text(info.first) + ", which only bitmaps may have");
    if (info.outside && !may_read_outside)
      throw FormatError("table " + text(table) + " has entries of -1, which only gemm and copy may read");
  }

  void channels(int value, int64_t first, int64_t count) const {
    const int64_t available = graph_.values[value].channels;
    if (first > available - count)
      throw FormatError("reads channels " + text(first) + " to " + text(first + count) + ", value " + text(value) + " has " +
                        text(available));
  }

  void scales(const Node& node, int64_t size) const {
    const bool integers = graph_.weights[node.data].type == WeightType::i8;
    if (integers != (node.scales >= 0))
      throw FormatError(integers ? "data is I8, which needs the key \"scales\"" : "the key \"scales\" needs data of I8");
    if (integers) weights_.check(node.scales, size, "scales");
  }

  void gemm(const Node& node, const Value& out) {
    if (node.sources.empty()) throw FormatError("segments is empty");
    int64_t rows = 0, next = 0;
    for (size_t i = 0; i < node.sources.size(); ++i) {
      const Source& segment = node.sources[i];
      if (segment.offset < next)
        throw FormatError("segments[" + text(i) + "]: k0 " + text(segment.offset) + " is less than " + text(next) +
                          ", where the segment before it ends");
      next = segment.offset + segment.count;
      if (next > kMaxGemmRows) throw FormatError("segments[" + text(i) + "]: k0 + channels exceeds 2^30");
      rows += segment.count;
    }
    weights_.check_packed(node.data, rows, out.channels, "data");
    scales(node, out.channels);
    if (node.bias >= 0) weights_.check(node.bias, out.channels, "bias");
  }

  void attend(Node& node, const Value& out) {
    const Attention& a = node.attention;
    if (a.heads % a.kv_heads != 0)
      throw FormatError(text(a.heads) + " heads cannot share " + text(a.kv_heads) + " heads of keys evenly");
    if (out.channels != a.heads * a.dim_v)
      throw FormatError(text(a.heads) + " heads of " + text(a.dim_v) + " make " + text(a.heads * a.dim_v) + " channels, value " +
                        text(node.out) + " has " + text(out.channels));
    const int64_t heads[] = {a.heads, a.kv_heads, a.kv_heads}, width[] = {a.dim, a.dim, a.dim_v},
                  positions[] = {out.positions, a.keys, a.keys};
    for (int i = 0; i < 3; ++i)
      within([&] { return std::string(1, "qkv"[i]); },
             [&] {
               Source& source = node.sources[i];
               reads(source.value, source.table, positions[i], false);
               if (i > 0 && source.table == kDirect && graph_.values[source.value].positions != a.keys)
                 throw FormatError("value " + text(source.value) + " does not have the " + text(a.keys) + " positions of the keys");
               if (source.offset < width[i] && heads[i] > 1)
                 throw FormatError("step " + text(source.offset) + " is less than the " + text(width[i]) + " channels of a head");
               source.count = (heads[i] - 1) * source.offset + width[i];
               channels(source.value, source.channel, source.count);
             });
    if (a.bitmap != kDirect) {
      table_of(a.bitmap, out.positions * a.words(), "bitmap");
    } else {
      table_of(a.begin, out.positions, "visible");
      table_of(a.end, out.positions, "visible");
    }
    if (node.bias >= 0) {
      if (a.heads * out.positions > kMaxElements / a.keys) throw FormatError("the bias has more than 2^28 elements");
      weights_.check(node.bias, a.heads * out.positions * a.keys, "bias");
    }
    scores_ += out.positions * a.keys;
    if (scores_ > kMaxScores) throw FormatError("positions × keys of all attend nodes together exceed 2^30");
  }

  void table_of(int table, int64_t length, const char* field) const {
    if (table < 0 || table >= static_cast<int64_t>(tables_.size()))
      throw FormatError(std::string(field) + " names table " + text(table) + ", there are " + text(tables_.size()));
    if (tables_[table].length != length)
      throw FormatError(std::string(field) + ": table " + text(table) + " has " + text(tables_[table].length) + " entries, not " +
                        text(length));
  }

  void row(const Node& node, const Value& out) const {
    const OpInfo& op = info(node.row_op);
    const int64_t count = node.sources[0].count, wanted = op.reduces ? 1 : count;
    if (out.channels != wanted)
      throw FormatError(std::string(op.name) + " of " + text(count) + " channels makes " + text(wanted) + ", value " +
                        text(node.out) + " has " + text(out.channels));
    const bool norm = node.row_op == RowOp::layer_norm || node.row_op == RowOp::rms_norm;
    if (!norm && (node.weight >= 0 || node.bias >= 0)) throw FormatError(std::string(op.name) + " takes no weight and no bias");
    if (node.weight >= 0) weights_.check(node.weight, count, "weight");
    if (node.bias >= 0) weights_.check(node.bias, count, "bias");
  }

  int64_t exists(int value, const char* what) const {
    if (value >= static_cast<int64_t>(graph_.values.size()))
      throw FormatError(std::string(what) + " " + text(value) + " does not exist, there are " + text(graph_.values.size()) +
                        " values");
    return value;
  }

  void fits(const std::vector<int64_t>& shape, int64_t index) const {
    const Value& value = graph_.values[static_cast<size_t>(index)];
    if (product(shape) != value.positions * value.channels)
      throw FormatError("shape " + shape_text(shape) + " does not lie in the " + text(value.positions) + " × " +
                        text(value.channels) + " elements of value " + text(index));
  }

  void states() {
    const std::vector<State>& states = graph_.iteration.states;
    if (graph_.iteration.rounds == 0) return;
    if (states.empty() || states[0].value != 0) throw FormatError("the first state must be value 0");
    for (size_t i = 1; i < states.size(); ++i) write(states[i].value, -1);
  }

  void rounds() const {
    const Iteration& iteration = graph_.iteration;
    if (iteration.rounds == 0) return;
    if (!delayed_.empty()) throw FormatError("a graph with delayed reads cannot be iterated");
    std::vector<uint8_t> changes(graph_.values.size(), 0);  // from round to round
    bool found = false;
    for (const State& state : iteration.states) {
      const Value &value = graph_.values[state.value], &next = graph_.values[exists(state.next, "next")];
      if (value.positions != next.positions || value.channels != next.channels)
        throw FormatError("next " + text(state.next) + " has not the size of the state " + text(state.value));
      changes[state.value] = 1;
      found = found || state.value == graph_.output.value;
    }
    if (!found) throw FormatError("the output must be one of the states");
    for (const Node& node : graph_.nodes)
      for (const Source& source : node.sources) changes[node.out] |= changes[source.value];
    if (graph_.head.kind != HeadKind::none && changes[graph_.head.value])
      throw FormatError("the head reads what changes from round to round");
    const std::vector<int64_t>& shape = graph_.input_shape;
    if (iteration.jitter > 0 && (shape.size() < 2 || shape[shape.size() - 2] * shape.back() != graph_.positions()))
      throw FormatError("jitter needs an input whose positions are a grid, the input's shape is " + shape_text(shape));
  }

  void output() const {
    if (graph_.output.value >= 0) fits(graph_.output.shape, exists(graph_.output.value, "value"));
  }

  void head() const {
    const Head& head = graph_.head;
    if (head.kind == HeadKind::none) {
      if (graph_.output.value < 0) throw FormatError("a graph without a distribution needs an output");
      return;
    }
    reads(head.value, head.table, head.by_position() ? graph_.positions() : graph_.sites(), head.kind == HeadKind::categorical);
    if (head.kind == HeadKind::logistic_mixture) {
      if (!(head.low < head.high)) throw FormatError("low must be less than high");
      if (head.coupled && graph_.channels() != 3)
        throw FormatError("coupled channels must be three, value 0 has " + text(graph_.channels()));
    }
    channels(head.value, head.channel, head_channels(head, graph_.channels()));
    if (head.has_levels()) weights_.check(head.values, head.levels, "values");
  }

  // 0 when it is more than any value can hold.
  static int64_t product(const std::vector<int64_t>& shape) {
    int64_t n = 1;
    for (int64_t extent : shape) {
      n *= extent;
      if (n > kMaxElements) return 0;
    }
    return n;
  }

  static std::string shape_text(const std::vector<int64_t>& shape) {
    std::string out = "[";
    for (int64_t extent : shape) out += (out.size() > 1 ? ", " : "") + text(extent);
    return out + "]";
  }

  Graph& graph_;
  const std::vector<TableInfo>& tables_;
  WeightsChecker weights_;
  std::vector<bool> written_;
  std::unordered_set<std::string> condition_names_;
  std::vector<std::pair<int, size_t>> delayed_;  // (node, source)
  int64_t reads_ = 0, scores_ = 0;
};

}  // namespace

void validate(Graph& graph, const std::vector<TableInfo>& tables) { Validator(graph, tables).run(); }

void set_order(Graph& graph, int table) {
  const int64_t sites = graph.sites();
  if (table == kDirect) {
    graph.order.reserve(static_cast<size_t>(sites));
    for (int64_t p = 0; p < graph.positions(); ++p)
      for (int64_t c = 0; c < graph.channels(); ++c) graph.order.push_back(static_cast<int32_t>(c * graph.positions() + p));
    return;
  }
  if (table >= static_cast<int64_t>(graph.tables.size()))
    throw FormatError("table " + text(table) + " does not exist, there are " + text(graph.tables.size()));
  graph.order = graph.tables[table];
  if (static_cast<int64_t>(graph.order.size()) != sites)
    throw FormatError("table " + text(table) + " has " + text(graph.order.size()) + " entries for " + text(sites) + " sites");
  std::vector<bool> seen(graph.order.size(), false);
  for (size_t rank = 0; rank < seen.size(); ++rank) {
    const int32_t site = graph.order[rank];
    if (site < 0 || site >= sites)
      throw FormatError("table " + text(table) + " has site " + text(site) + " at rank " + text(rank) + ", there are " +
                        text(sites));
    if (seen[site]) throw FormatError("table " + text(table) + " is not a permutation: site " + text(site) + " occurs twice");
    seen[site] = true;
  }
}

}  // namespace genfast
