// The meaning of a parsed graph: every index refers to something, every size fits, every value is written once and before it is
// read. Called once by reader.cc; after it, nobody checks again.
#pragma once
#include <vector>

#include "graph/graph.h"
#include "graph/tables.h"

namespace genfast {

// Needs values, nodes, conditions, head, input_shape and weights; sets Value::producer and the count of map operands. Throws
// FormatError.
void validate(Graph& graph, const std::vector<TableInfo>& tables);

// Sets Graph::order: the sites in rising order (kDirect), or an expanded table that must be a permutation of them.
void set_order(Graph& graph, int table);

}  // namespace genfast
