// JSON text → Graph: the syntax. Every field has its type, every enum is known, nothing is missing or unknown. What the numbers
// refer to is checked afterwards by validate.h; until then no index in the result may be followed.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/tables.h"

namespace genfast {

struct ParsedGraph {
  Graph graph;  // without tables, weights and order
  std::vector<TableSpec> tables;
  int order_table = kDirect;  // kDirect: raster
};

// Throws FormatError.
ParsedGraph parse_graph(std::string_view text);

}  // namespace genfast
