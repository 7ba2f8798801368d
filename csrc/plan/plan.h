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

// A step ends by drawing its sites, all at once: none of them depends on another, but for the channels of one position where the
// head draws them together: those follow each other here, all of them, known ones too. Steps that come after the last draw have
// no sites: they compute the output.
struct Step {
  std::vector<Group> groups;
  std::vector<int32_t> sites;
};

struct PlanStats {
  int64_t multiply_adds = 0;          // of one sample, all rounds
  int64_t step_multiply_adds = 0;     // of the step with the most of them, one round
  int64_t forward_multiply_adds = 0;  // of one pass of the whole network, every position and every weight it keeps
  int64_t naive_passes = 0;           // of the loop that runs the whole network for every draw
  int64_t widest_step = 0;            // most sites in one step
  int64_t tasks = 0, groups = 0;
  int64_t cache_floats = 0;  // of floats_per_row, what attention reads at other positions
};

struct Plan {
  std::vector<Step> steps;
  std::vector<int32_t> known;  // sites whose levels are placed before the first step: known, or without a distribution
  std::vector<std::vector<PlanClass>> classes;  // [node]
  // offset[value][position]: where the channels of one row start, in floats per row of the row-tile (row r of a tile of R rows is
  // at arena[offset * R + r * stride]); -1 where nothing is stored (constants, dead positions).
  std::vector<std::vector<int32_t>> offset;
  std::vector<int64_t> stride;  // [value] floats between rows
  int64_t floats_per_row = 0;
  bool wavefront = false;
  bool output = false;  // the graph's output is there after the last step
  // The step that is run once a round of graph.iteration, the last, or -1. What it reads and does not compute, all states and all
  // `next` stay where they are for as long as rounds follow.
  int64_t body = -1;
  PlanStats stats;
};

struct PlanOptions {
  bool wavefront = true;       // draw all sites of the same level together (identical results)
  std::vector<uint8_t> known;  // [site]: 1 for sites whose levels are there before sampling; empty for none
  bool output = false;         // compute graph.output too, which must be there
};

// With every site known and no output the plan has one step that evaluates all distributions: its sites' levels are given. With an
// output no distribution of a known site is evaluated. Throws NotCausalError, and ArgumentError when a known site's distribution
// depends on one that is not known.
std::shared_ptr<const Plan> make_plan(const Graph& graph, const PlanOptions& options);

// An order the model is causal for, whatever graph.order says: the sites sorted by what their distributions read, the smallest that
// can be drawn first. Throws NotCausalError naming a cycle when there is none.
std::vector<int32_t> infer_order(const Graph& graph);

// What the plan does and costs, for people.
std::string describe(const Graph& graph, const Plan& plan);

}  // namespace genfast
