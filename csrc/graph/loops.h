// Loops: the cycles that delayed reads close (docs/format.md). Found and checked once by the reader, with the tables expanded; the
// planner then only asks which loop a node belongs to. Called by reader.cc.
#pragma once
#include "graph/graph.h"

namespace genfast {

// Fills graph.loop. Throws FormatError when a delayed read looks ahead or a loop mixes position counts.
void find_loops(Graph& graph);

// The visible sets of attend nodes lie inside their keys. Throws FormatError.
void check_visible(const Graph& graph);

}  // namespace genfast
