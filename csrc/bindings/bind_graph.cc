// genfast._core.read_graph_summary and plan_summary: what a .genfast file holds and how it is planned, as plain Python data, for
// the tests and for people who want to look inside a file; infer_order for the exporter. Nothing here runs a model.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>

#include "bindings/gil.h"
#include "graph/reader.h"
#include "plan/plan.h"

namespace py = pybind11;
using namespace pybind11::literals;

namespace genfast {
namespace {

const char* name_of(NodeKind kind) {
  static const char* const names[] = {"const", "lookup", "gemm", "map", "copy", "row", "attend"};
  return names[static_cast<int>(kind)];
}

py::str text(const std::string& utf8) {
  return py::reinterpret_steal<py::str>(PyUnicode_DecodeUTF8(utf8.data(), static_cast<Py_ssize_t>(utf8.size()), "replace"));
}

py::dict describe(const Node& node) {
  py::dict out;
  out["kind"] = name_of(node.kind);
  out["out"] = node.out;
  out["name"] = text(node.name);
  out["source"] = text(node.source);
  if (node.kind == NodeKind::map) out["op"] = info(node.map_op).name;
  if (node.kind == NodeKind::row) out["op"] = info(node.row_op).name;
  py::list sources;
  for (const Source& s : node.sources) sources.append(py::make_tuple(s.value, s.table, s.channel, s.count, s.offset, s.broadcast));
  out["sources"] = sources;
  out["data"] = node.data;
  out["scales"] = node.scales;
  out["weight"] = node.weight;
  out["bias"] = node.bias;
  out["rows"] = node.rows;
  out["params"] = node.params;
  if (node.kind == NodeKind::attend) {
    const Attention& a = node.attention;
    out["attention"] = py::make_tuple(a.heads, a.kv_heads, a.dim, a.dim_v, a.keys, a.scale, a.begin, a.end, a.bitmap);
  }
  return out;
}

py::dict describe(const Condition& condition) {
  py::dict out;
  out["name"] = text(condition.name);
  out["value"] = condition.value;
  out["shape"] = condition.shape;
  out["dtype"] = condition.integer ? "int" : "float";
  out["size"] = condition.size;
  return out;
}

py::dict describe(const Head& head) {
  py::dict out;
  static const char* const kinds[] = {"categorical", "bernoulli", "logistic_mixture", "family", "none"};
  out["kind"] = kinds[static_cast<int>(head.kind)];
  out["value"] = head.value;
  out["table"] = head.table;
  out["channel"] = head.channel;
  out["levels"] = head.levels;
  out["probs"] = head.probs;
  out["values"] = head.values;
  if (head.kind == HeadKind::logistic_mixture || head.kind == HeadKind::family) out["components"] = head.components;
  if (head.kind == HeadKind::logistic_mixture) out["coupled"] = head.coupled;
  if (head.kind == HeadKind::family) {
    out["family"] = info(head.family).name;
    py::list params;
    for (const HeadParam& p : head.params)
      params.append(py::make_tuple(p.channel, kLinkNames[static_cast<int>(p.link)], p.scale, p.shift));
    out["params"] = params;
  }
  return out;
}

template <class T>
py::list describe_all(const std::vector<T>& items) {
  py::list out;
  for (const T& item : items) out.append(describe(item));
  return out;
}

py::dict describe(const Graph& graph) {
  py::dict out;
  py::list values, weights, weight_types, assumed;
  for (const Value& value : graph.values) values.append(py::make_tuple(value.positions, value.channels, value.producer));
  for (const Weights& w : graph.weights) weights.append(w.size), weight_types.append(info(w.type).name);
  for (const std::string& s : graph.assumed) assumed.append(text(s));
  out["producer"] = text(graph.producer);
  out["values"] = values;
  out["tables"] = graph.tables;
  out["weights"] = weights;
  out["weight_types"] = weight_types;
  out["nodes"] = describe_all(graph.nodes);
  out["conditions"] = describe_all(graph.conditions);
  out["head"] = describe(graph.head);
  if (graph.output.value >= 0) out["output"] = py::dict("value"_a = graph.output.value, "shape"_a = graph.output.shape);
  if (graph.iteration.rounds > 0) {
    py::list states;
    for (const State& s : graph.iteration.states) states.append(py::make_tuple(s.value, s.next, s.initial));
    out["iterate"] = py::dict("rounds"_a = graph.iteration.rounds, "states"_a = states, "jitter"_a = graph.iteration.jitter);
  }
  out["input_shape"] = graph.input_shape;
  out["input_name"] = text(graph.input_name);
  out["input_dtype"] = graph.input_integer ? "int" : "float";
  out["order"] = graph.order;
  out["loops"] = graph.loop;
  out["bos"] = graph.bos;
  out["assumed"] = assumed;
  out["meta"] = text(graph.meta);
  out["file_bytes"] = graph.file_bytes;
  return out;
}

py::dict describe(const Plan& plan) {
  py::dict out;
  py::list steps, classes;
  for (const Step& step : plan.steps) {
    py::list groups;
    for (const Group& group : step.groups) {
      py::list tasks;
      for (const Task& task : group.tasks) tasks.append(py::make_tuple(task.node, task.cls));
      groups.append(py::make_tuple(tasks, group.positions));
    }
    steps.append(py::make_tuple(groups, step.sites));
  }
  for (const std::vector<PlanClass>& node : plan.classes) {
    py::list of_node;
    for (const PlanClass& cls : node) {
      py::list ranges;
      for (const ChannelRange& range : cls.channels) ranges.append(py::make_tuple(range.begin, range.end));
      of_node.append(ranges);
    }
    classes.append(of_node);
  }
  out["steps"] = steps;
  out["classes"] = classes;
  out["known"] = plan.known;
  out["offset"] = plan.offset;
  out["stride"] = plan.stride;
  out["body"] = plan.body;
  out["floats_per_row"] = plan.floats_per_row;
  out["multiply_adds"] = plan.stats.multiply_adds;
  out["forward_multiply_adds"] = plan.stats.forward_multiply_adds;
  out["widest_step"] = plan.stats.widest_step;
  out["tasks"] = plan.stats.tasks;
  out["groups"] = plan.stats.groups;
  out["cache_floats"] = plan.stats.cache_floats;
  return out;
}

std::shared_ptr<const Graph> read(const py::object& source) {
  if (PyObject_CheckBuffer(source.ptr())) {
    const py::buffer_info bytes = py::reinterpret_borrow<py::buffer>(source).request();
    if (bytes.itemsize != 1 || bytes.ndim != 1 || bytes.strides[0] != 1) throw py::type_error("expected contiguous bytes");
    const ReleasedGil released;
    return read_graph(bytes.ptr, static_cast<size_t>(bytes.size));
  }
  PyObject* encoded = nullptr;  // str or os.PathLike, in the file system's encoding
  if (!PyUnicode_FSConverter(source.ptr(), &encoded)) throw py::error_already_set();
  const auto path = py::reinterpret_steal<py::bytes>(encoded).cast<std::string>();
  const ReleasedGil released;
  return read_graph(path);
}

}  // namespace

void bind_graph(py::module_& m) {
  m.def(
      "read_graph_summary", [](const py::object& source) { return describe(*read(source)); }, py::arg("source"),
      "Reads and validates a .genfast file, given its path or its bytes, and returns what it holds as a dict.\n\n"
      "Raises FormatError, naming the path and the culprit, when it is not a valid file.");
  m.def(
      "plan_summary",
      [](const py::object& source, const std::optional<std::vector<uint8_t>>& known, bool wavefront, bool output) {
        const std::shared_ptr<const Graph> graph = read(source);
        std::shared_ptr<const Plan> plan;
        std::string text;
        {
          const ReleasedGil released;
          plan = make_plan(*graph, {wavefront, known.value_or(std::vector<uint8_t>()), output});
          text = describe(*graph, *plan);
        }
        py::dict out = describe(*plan);
        out["text"] = text;
        return out;
      },
      py::arg("source"), py::arg("known") = py::none(), py::arg("wavefront") = true, py::arg("output") = false,
      "The plan of a .genfast file as a dict: what each step computes and draws, where it is stored, what it costs.\n\n"
      "known is one number a site, 1 where its level is there before sampling; output: compute that too. Raises FormatError, "
      "NotCausalError, and\n"
      "ValueError when a known site depends on one that is not.");
  m.def(
      "infer_order",
      [](const py::object& source) {
        const std::shared_ptr<const Graph> graph = read(source);
        std::vector<int32_t> order;
        {
          const ReleasedGil released;
          order = infer_order(*graph);
        }
        return py::array_t<int32_t>(static_cast<py::ssize_t>(order.size()), order.data());
      },
      py::arg("source"),
      "An order of the sites that the model of a .genfast file is causal for, int32 (sites,): sorted by what distributions read,\n"
      "the smallest site that can be drawn first. Raises NotCausalError naming a cycle when there is none.");
}

}  // namespace genfast
