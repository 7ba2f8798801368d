#include "graph/reader.h"

#include <utility>

#include "base/errors.h"
#include "graph/bytes.h"
#include "graph/container.h"
#include "graph/json.h"
#include "graph/loops.h"
#include "graph/parse.h"
#include "graph/tables.h"
#include "graph/validate.h"

namespace genfast {
namespace {

Graph build(const Bytes& bytes) {
  Container container = open_container(bytes.data, bytes.size);
  ParsedGraph parsed;
  within([] { return std::string("graph"); }, [&] { parsed = parse_graph(container.graph); });
  Graph graph = std::move(parsed.graph);
  graph.weights = std::move(container.weights);
  graph.storage = bytes.storage;
  graph.file_data = bytes.data;
  graph.file_bytes = static_cast<int64_t>(bytes.size);

  validate(graph, inspect_tables(parsed.tables, container.tables, container.tables_size));
  graph.tables = expand_tables(parsed.tables, container.tables);
  find_loops(graph);
  check_visible(graph);
  within([] { return std::string("order"); }, [&] { set_order(graph, parsed.order_table); });
  return graph;
}

template <class Load>
std::shared_ptr<const Graph> read(const std::string& name, const Load& load) {
  try {
    return std::make_shared<const Graph>(build(load()));
  } catch (const FormatError& error) {
    throw FormatError(printable(name) + ": " + error.what());
  } catch (const Json::exception& error) {  // none is known to get here
    throw FormatError(printable(name) + ": " + printable(error.what()));
  }
}

}  // namespace

std::shared_ptr<const Graph> read_graph(const std::string& path) {
  return read(path, [&] { return load_file(path); });
}

std::shared_ptr<const Graph> read_graph(const void* data, size_t size, const std::string& name) {
  return read(name, [&] { return copy_bytes(data, size); });
}

}  // namespace genfast
