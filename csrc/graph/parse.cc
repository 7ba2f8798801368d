#include "graph/parse.h"

#include <limits>
#include <string>

#include "graph/json.h"
#include "graph/limits.h"

namespace genfast {
namespace {

// Indices and extents are read as "any number a file could mean" and held against the arrays they belong to in validate.cc.
constexpr int64_t kIndex = std::numeric_limits<int32_t>::max();
constexpr int64_t kExtent = int64_t{1} << 32;

std::string element(const char* array, size_t i) { return std::string(array) + "[" + std::to_string(i) + "]"; }

template <class Body>
void for_each(const Json& object, const char* key, size_t limit, const Body& body) {
  const Json& array = array_at(object, key);
  if (array.size() > limit)
    throw FormatError(std::string(key) + " has " + std::to_string(array.size()) + " entries, the limit is " +
                      std::to_string(limit));
  for (size_t i = 0; i < array.size(); ++i) within([&] { return element(key, i); }, [&] { body(array[i]); });
}

int index_at(const Json& object, const char* key, int64_t low = 0) {
  return static_cast<int>(integer_at(object, key, low, kIndex));
}

std::vector<int64_t> parse_shape(const Json& object) {
  std::vector<int64_t> shape;
  for_each(object, "shape", kMaxDimensions,
           [&](const Json& extent) { shape.push_back(integer_from(extent, "the extent", 1, kMaxElements)); });
  return shape;
}

bool parse_integer_dtype(const Json& object) {
  const std::string& dtype = string_at(object, "dtype");
  if (dtype != "float" && dtype != "int") throw FormatError("dtype must be \"float\" or \"int\", got " + in_quotes(dtype));
  return dtype == "int";
}

TableSpec parse_table(const Json& json) {
  TableSpec table;
  if (json.is_object() && json.contains("grid")) {
    expect_keys(json, {"grid"});
    table.grid = true;
    Grid& g = table.shape;
    const int64_t far = kMaxPositions;
    within([] { return std::string("grid"); },
           [&] {
             read_columns(json.at("grid"), {{"H", 1, far, &g.rows},
                                            {"W", 1, far, &g.columns},
                                            {"h", 1, far, &g.source_rows},
                                            {"w", 1, far, &g.source_columns},
                                            {"sy", -far, far, &g.step_y},
                                            {"sx", -far, far, &g.step_x},
                                            {"dy", -far, far, &g.shift_y},
                                            {"dx", -far, far, &g.shift_x}});
           });
  } else {
    expect_keys(json, {"offset", "length"});
    table.offset = integer_at(json, "offset", 0, kMaxBytes);
    table.length = integer_at(json, "length", 1, kMaxPositions);
  }
  return table;
}

Value parse_value(const Json& json) {
  Value value;
  read_columns(json, {{"positions", 1, kMaxPositions, &value.positions}, {"channels", 1, kMaxChannels, &value.channels}});
  if (value.positions * value.channels > kMaxElements)
    throw FormatError(std::to_string(value.positions) + " positions × " + std::to_string(value.channels) + " channels exceed 2^28");
  return value;
}

enum class Shape { lookup, segment, operand, block, row, heads };

Source parse_source(const Json& json, Shape shape) {
  Source source;
  int64_t value = 0, table = 0, broadcast = 0;
  const Column v{"value", 0, kIndex, &value}, t{"table", kDirect, kIndex, &table}, c{"channel", 0, kExtent, &source.channel},
      n{"channels", 1, kExtent, &source.count};
  switch (shape) {
    case Shape::lookup:
      read_columns(json, {v, t, c});
      source.count = 1;
      break;
    case Shape::segment:
      read_columns(json, {v, t, c, n, {"k0", 0, kMaxGemmRows, &source.offset}});
      break;
    case Shape::operand:
      read_columns(json, {v, t, c, {"broadcast", 0, 1, &broadcast}});
      source.broadcast = broadcast == 1;
      break;
    case Shape::block:
      read_columns(json, {v, t, c, n, {"d0", 0, kExtent, &source.offset}});
      break;
    case Shape::row:
      read_columns(json, {v, t, c, n});
      break;
    case Shape::heads:
      read_columns(json, {v, t, c, {"step", 0, kExtent, &source.offset}});
      break;
  }
  source.value = static_cast<int>(value);
  source.table = static_cast<int>(table);
  return source;
}

void parse_sources(const Json& json, const char* key, size_t limit, Shape shape, Node& node) {
  for_each(json, key, limit, [&](const Json& entry) { node.sources.push_back(parse_source(entry, shape)); });
}

void parse_one(const Json& json, const char* key, Shape shape, Node& node) {
  within([&] { return std::string(key); }, [&] { node.sources.push_back(parse_source(array_at(json, key), shape)); });
}

void parse_in(const Json& json, Shape shape, Node& node) { parse_one(json, "in", shape, node); }

template <class Op>
Op parse_op(const Json& json) {
  const std::string& name = string_at(json, "op");
  for (int i = 0; i < static_cast<int>(Op::count); ++i)
    if (name == info(static_cast<Op>(i)).name) return static_cast<Op>(i);
  throw FormatError("unknown op " + in_quotes(name));
}

void parse_params(const Json& json, const OpInfo& op, Node& node) {
  const Json& params = array_at(json, "params");
  if (params.size() != static_cast<size_t>(op.params))
    throw FormatError(std::string(op.name) + " takes " + std::to_string(op.params) + " params, got " +
                      std::to_string(params.size()));
  for (const Json& param : params) node.params.push_back(float_from(param, "params"));
}

void parse_constant(const Json& json, Node& node) { node.data = index_at(json, "data"); }

void parse_scales(const Json& json, Node& node) {
  if (json.contains("scales")) node.scales = index_at(json, "scales");
}

void parse_lookup(const Json& json, Node& node) {
  parse_in(json, Shape::lookup, node);
  node.data = index_at(json, "data");
  parse_scales(json, node);
  node.rows = integer_at(json, "rows", 1, kMaxInteger);
}

void parse_gemm(const Json& json, Node& node) {
  parse_sources(json, "segments", kMaxReads, Shape::segment, node);
  node.data = index_at(json, "data");
  parse_scales(json, node);
  node.bias = index_at(json, "bias", -1);
}

void parse_map(const Json& json, Node& node) {
  node.map_op = parse_op<MapOp>(json);
  const OpInfo& op = info(node.map_op);
  parse_sources(json, "args", kMaxReads, Shape::operand, node);
  if (node.sources.size() != static_cast<size_t>(op.operands))
    throw FormatError(std::string(op.name) + " takes " + std::to_string(op.operands) + " args, got " +
                      std::to_string(node.sources.size()));
  parse_params(json, op, node);
}

void parse_copy(const Json& json, Node& node) {
  parse_sources(json, "blocks", kMaxReads, Shape::block, node);
  node.params.push_back(float_from(json.at("fill"), "fill"));
}

void parse_row(const Json& json, Node& node) {
  node.row_op = parse_op<RowOp>(json);
  parse_in(json, Shape::row, node);
  parse_params(json, info(node.row_op), node);
  node.weight = index_at(json, "weight", -1);
  node.bias = index_at(json, "bias", -1);
}

void parse_attend(const Json& json, Node& node) {
  for (const char* key : {"q", "k", "v"}) parse_one(json, key, Shape::heads, node);
  Attention& a = node.attention;
  a.heads = integer_at(json, "heads", 1, kMaxChannels);
  a.kv_heads = integer_at(json, "kv_heads", 1, kMaxChannels);
  a.dim = integer_at(json, "dim", 1, kMaxChannels);
  a.dim_v = integer_at(json, "dim_v", 1, kMaxChannels);
  a.keys = integer_at(json, "keys", 1, kMaxPositions);
  a.scale = float_from(json.at("scale"), "scale");
  if (json.contains("visible") == json.contains("bitmap")) throw FormatError("needs one of \"visible\" and \"bitmap\"");
  if (json.contains("bitmap")) {
    a.bitmap = index_at(json, "bitmap");
  } else {
    int64_t begin = 0, end = 0;
    within([] { return std::string("visible"); },
           [&] { read_columns(json.at("visible"), {{"tb", 0, kIndex, &begin}, {"te", 0, kIndex, &end}}); });
    a.begin = static_cast<int>(begin);
    a.end = static_cast<int>(end);
  }
  node.bias = index_at(json, "bias", -1);
}

struct KindParser {
  const char* name;
  NodeKind kind;
  std::initializer_list<const char*> keys;
  void (*parse)(const Json&, Node&);
  std::initializer_list<const char*> optional = {};
};
const KindParser kKinds[] = {
    {"const", NodeKind::constant, {"kind", "out", "name", "source", "data"}, parse_constant},
    {"lookup", NodeKind::lookup, {"kind", "out", "name", "source", "in", "data", "rows"}, parse_lookup, {"scales"}},
    {"gemm", NodeKind::gemm, {"kind", "out", "name", "source", "segments", "data", "bias"}, parse_gemm, {"scales"}},
    {"map", NodeKind::map, {"kind", "out", "name", "source", "op", "args", "params"}, parse_map},
    {"copy", NodeKind::copy, {"kind", "out", "name", "source", "blocks", "fill"}, parse_copy},
    {"row", NodeKind::row, {"kind", "out", "name", "source", "op", "in", "params", "weight", "bias"}, parse_row},
    {"attend",
     NodeKind::attend,
     {"kind", "out", "name", "source", "q", "k", "v", "heads", "kv_heads", "dim", "dim_v", "keys", "scale", "bias"},
     parse_attend,
     {"visible", "bitmap"}},
};

const KindParser& kind_of(const Json& json) {
  if (!json.is_object()) throw FormatError("must be an object, got " + picture(json));
  if (!json.contains("kind")) throw FormatError("the key \"kind\" is missing");
  const std::string& name = string_at(json, "kind");
  for (const KindParser& kind : kKinds)
    if (name == kind.name) return kind;
  throw FormatError("unknown kind " + in_quotes(name));
}

Node parse_node(const Json& json) {
  const KindParser& kind = kind_of(json);
  expect_keys(json, kind.keys, kind.optional);
  Node node;
  node.kind = kind.kind;
  node.out = index_at(json, "out");
  node.name = string_at(json, "name");
  node.source = string_at(json, "source");
  kind.parse(json, node);
  return node;
}

// "node 12 "layers.3.conv"", as far as the entry has a name.
std::string node_label(const Json& json, size_t i) {
  std::string label = "node " + std::to_string(i);
  if (json.is_object() && json.contains("name") && json.at("name").is_string()) label += " " + in_quotes(string_at(json, "name"));
  return label;
}

void parse_nodes(const Json& json, Graph& graph) {
  const Json& nodes = array_at(json, "nodes");
  if (nodes.size() > static_cast<size_t>(kMaxNodes)) throw FormatError("more than 2^20 nodes");
  graph.nodes.reserve(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i)
    within([&] { return node_label(nodes[i], i); }, [&] { graph.nodes.push_back(parse_node(nodes[i])); });
}

void parse_input(const Json& json, Graph& graph) {
  expect_keys(json, {"value", "shape", "dtype", "name"});
  integer_at(json, "value", 0, 0);
  graph.input_shape = parse_shape(json);
  graph.input_integer = parse_integer_dtype(json);
  graph.input_name = string_at(json, "name");
}

Condition parse_condition(const Json& json) {
  expect_keys(json, {"name", "value", "shape", "dtype"}, {"size"});
  Condition condition;
  condition.name = string_at(json, "name");
  condition.value = index_at(json, "value");
  condition.shape = parse_shape(json);
  condition.integer = parse_integer_dtype(json);
  if (condition.integer != json.contains("size"))
    throw FormatError(condition.integer ? "the key \"size\" is missing (dtype is \"int\")"
                                        : "the key \"size\" needs dtype \"int\"");
  if (condition.integer) condition.size = integer_at(json, "size", 1, kMaxInteger);
  return condition;
}

HeadParam parse_head_param(const Json& json) {
  if (!json.is_array() || json.size() != 4) throw FormatError("must be [channel, link, scale, shift], got " + picture(json));
  HeadParam param;
  param.channel = integer_from(json[0], "the channel", 0, kExtent);
  if (!json[1].is_string()) throw FormatError("the link must be a string, got " + picture(json[1]));
  const std::string& link = json[1].get_ref<const std::string&>();
  int found = 0;
  while (found < static_cast<int>(Link::count) && link != kLinkNames[found]) ++found;
  if (found == static_cast<int>(Link::count)) throw FormatError("unknown link " + in_quotes(link));
  param.link = static_cast<Link>(found);
  param.scale = float_from(json[2], "the scale");
  param.shift = float_from(json[3], "the shift");
  return param;
}

void parse_family(const Json& json, Head& head) {
  const std::string& name = string_at(json, "family");
  int found = 0;
  while (found < static_cast<int>(Family::count) && name != info(static_cast<Family>(found)).name) ++found;
  if (found == static_cast<int>(Family::count)) throw FormatError("unknown family " + in_quotes(name));
  head.family = static_cast<Family>(found);
  head.mixture_logits = integer_at(json, "logits", -1, kExtent);
  if ((head.mixture_logits < 0) != (head.components == 1))
    throw FormatError("logits is -1 for one component, and a channel for several");
  const int wanted = info(head.family).params;
  for_each(json, "params", static_cast<size_t>(wanted), [&](const Json& entry) { head.params.push_back(parse_head_param(entry)); });
  if (static_cast<int>(head.params.size()) != wanted)
    throw FormatError(name + " takes " + std::to_string(wanted) + " params, got " + std::to_string(head.params.size()));
}

Head parse_head(const Json& json) {
  if (!json.is_object() || !json.contains("kind")) throw FormatError("must be an object with the key \"kind\"");
  Head head;
  const std::string& kind = string_at(json, "kind");
  if (kind == "categorical") {
    expect_keys(json, {"kind", "value", "table", "channel", "levels", "values"});
    head.kind = HeadKind::categorical;
    head.levels = integer_at(json, "levels", 1, kMaxLevels);
  } else if (kind == "bernoulli") {
    expect_keys(json, {"kind", "value", "table", "channel", "probs", "values"});
    head.kind = HeadKind::bernoulli;
    head.levels = 2;
    head.probs = bool_at(json, "probs");
  } else if (kind == "logistic_mixture") {
    expect_keys(json, {"kind", "value", "table", "channel", "components", "coupled", "low", "high", "levels", "values"});
    head.kind = HeadKind::logistic_mixture;
    head.levels = integer_at(json, "levels", 2, kMaxLevels);
    head.components = integer_at(json, "components", 1, kMaxComponents);
    head.coupled = bool_at(json, "coupled");
    head.low = float_from(json.at("low"), "low");
    head.high = float_from(json.at("high"), "high");
  } else if (kind == "family") {
    expect_keys(json, {"kind", "value", "table", "channel", "components", "family", "logits", "params"});
    head.kind = HeadKind::family;
    head.components = integer_at(json, "components", 1, kMaxComponents);
    parse_family(json, head);
  } else if (kind == "none") {
    expect_keys(json, {"kind"});
    head.kind = HeadKind::none;
    return head;
  } else {
    throw FormatError("unknown kind " + in_quotes(kind));
  }
  head.value = index_at(json, "value");
  head.table = index_at(json, "table", kDirect);
  head.channel = integer_at(json, "channel", 0, kExtent);
  if (head.has_levels()) head.values = index_at(json, "values");
  return head;
}

int parse_order(const Json& json) {
  if (!json.is_object() || !json.contains("kind")) throw FormatError("must be an object with the key \"kind\"");
  const std::string& kind = string_at(json, "kind");
  if (kind == "raster") {
    expect_keys(json, {"kind"});
    return kDirect;
  }
  if (kind != "permutation") throw FormatError("unknown kind " + in_quotes(kind));
  expect_keys(json, {"kind", "table"});
  return index_at(json, "table");
}

Output parse_output(const Json& json) {
  expect_keys(json, {"value", "shape"});
  Output output;
  output.value = index_at(json, "value");
  output.shape = parse_shape(json);
  return output;
}

State parse_state(const Json& json) {
  expect_keys(json, {"value", "next", "initial"});
  State state;
  state.value = index_at(json, "value");
  state.next = index_at(json, "next");
  state.initial = float_from(json.at("initial"), "initial");
  return state;
}

Iteration parse_iteration(const Json& json) {
  expect_keys(json, {"rounds", "states"}, {"jitter"});
  Iteration iteration;
  iteration.rounds = integer_at(json, "rounds", 1, kMaxRounds);
  for_each(json, "states", kMaxValues, [&](const Json& state) { iteration.states.push_back(parse_state(state)); });
  if (json.contains("jitter")) iteration.jitter = integer_at(json, "jitter", 0, kMaxPositions);
  return iteration;
}

ParsedGraph parse_root(const Json& root) {
  expect_keys(root, {"version", "producer", "values", "tables", "input", "conditions", "nodes", "head", "order", "assumed", "meta"},
              {"bos", "output", "iterate"});
  integer_at(root, "version", kVersion, kVersion);
  ParsedGraph parsed;
  Graph& graph = parsed.graph;
  graph.producer = string_at(root, "producer");
  for_each(root, "values", kMaxValues, [&](const Json& json) { graph.values.push_back(parse_value(json)); });
  for_each(root, "tables", kMaxTables, [&](const Json& json) { parsed.tables.push_back(parse_table(json)); });
  within([] { return std::string("input"); }, [&] { parse_input(root.at("input"), graph); });
  for_each(root, "conditions", kMaxValues, [&](const Json& json) { graph.conditions.push_back(parse_condition(json)); });
  parse_nodes(root, graph);
  within([] { return std::string("head"); }, [&] { graph.head = parse_head(root.at("head")); });
  if (root.contains("output"))
    within([] { return std::string("output"); }, [&] { graph.output = parse_output(root.at("output")); });
  if (root.contains("iterate"))
    within([] { return std::string("iterate"); }, [&] { graph.iteration = parse_iteration(root.at("iterate")); });
  if (root.contains("bos")) graph.bos = integer_at(root, "bos", 0, kMaxInteger - 1);
  within([] { return std::string("order"); }, [&] { parsed.order_table = parse_order(root.at("order")); });
  for_each(root, "assumed", kMaxNodes, [&](const Json& json) {
    if (!json.is_string()) throw FormatError("must be a string, got " + picture(json));
    graph.assumed.push_back(json.get_ref<const std::string&>());
  });
  graph.meta = object_at(root, "meta").dump();
  return parsed;
}

}  // namespace

ParsedGraph parse_graph(std::string_view text) { return parse_root(parse_json(text)); }

}  // namespace genfast
