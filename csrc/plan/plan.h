// Plan: when each node computes which positions, and where the results live. Plain immutable data, made by make_plan() from a Graph
// alone, executed by engine/ on any backend. It knows no kernels, threads or batch: everything is "per row" of the batch.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace genfast {

struct ChannelRange {
  int64_t begin, end;
};

// One channel class of a node: channels whose readiness is the same everywhere.
struct PlanClass {
  std::vector<ChannelRange> channels;
};

// One node class computing some positions. Positions are shared by all tasks of its group.
struct Task {
  int node, cls;
};

// Tasks that run one after another over the same positions and never read what the group computes at another position, so a
// backend may take the group's rows in blocks of any size: this is how pointwise nodes become epilogues.
struct Group {
  std::vector<Task> tasks;
  std::vector<int32_t> positions;
};

// A step ends by drawing its sites, all at once: none of them depends on another.
struct Step {
  std::vector<Group> groups;
  std::vector<int32_t> sites;
};

struct PlanStats {
  int64_t multiply_adds = 0;  // of one sample
  int64_t widest_step = 0;    // most sites in one step
  int64_t tasks = 0, groups = 0;
};

struct Plan {
  std::vector<Step> steps;
  std::vector<std::vector<PlanClass>> classes;  // [node]
  // offset[value][position]: where the channels of one row start, in floats per row of the row-tile (row r of a tile of R rows is
  // at arena[offset * R + r * stride]); -1 where nothing is stored (constants, dead positions).
  std::vector<std::vector<int32_t>> offset;
  std::vector<int64_t> stride;  // [value] floats between rows
  int64_t floats_per_row = 0;
  bool wavefront = false;
  PlanStats stats;
};

struct PlanOptions {
  bool wavefront = true;       // draw all sites of the same level together (identical results)
  std::vector<uint8_t> known;  // [site]: 1 for sites whose levels are there before sampling; empty for none
};

// Throws NotCausalError, and ArgumentError when a known site's distribution depends on one that is not known.
std::shared_ptr<const Plan> make_plan(const Graph& graph, const PlanOptions& options);

// What the plan does and costs, for people.
std::string describe(const Graph& graph, const Plan& plan);

}  // namespace genfast
