// Structure: which (row, position) reads which, where a row is one class of channels of a value. The rest of plan/ sees only this
// and treats all node kinds alike. Zero weights count as structure: a tap or channel whose weights are all zero is not read.
#pragma once
#include <cstdint>
#include <vector>

#include "graph/graph.h"
#include "plan/plan.h"

namespace genfast {

inline constexpr int kFirst = -2;  // Dep::table: always position 0

// Reads `row` at table[p]; `table` is a table of the graph, kDirect (p itself) or kFirst.
struct Dep {
  int row, table;
};

// One class of channels of a value. An attend node has one more row before its own, its keys: what it reads of k and v, by key.
struct Row {
  int value = 0;  // of keys: the attend's out
  int node = -1;  // who computes it; -1 for the input and the conditions
  int cls = 0;    // among the node's classes; -1 for keys
  int64_t positions = 0;
  std::vector<Dep> deps;
  int keys = -1;     // attend: the row it reads at every key that the position sees
  int64_t work = 0;  // multiply-adds of one position of a gemm, of one visible key of an attend
};

// Rows sequence[begin, end) of the structure. A loop's are evaluated position after position; else it is one row.
struct Stage {
  int begin, end;
  bool loop;
};

struct Structure {
  std::vector<Row> rows;
  std::vector<int> first_row;                   // [value] row of the value's class 0; one more at the end
  std::vector<std::vector<PlanClass>> classes;  // [node]
  std::vector<int> sequence;                    // computed rows, what they read (delayed reads apart) before them
  std::vector<Stage> stages;                    // of the sequence
  std::vector<int> head;                        // rows a distribution reads, at graph.head_position(); none for a head of none
  int class_count(int value) const { return first_row[value + 1] - first_row[value]; }
  bool computes(int row) const { return rows[row].node >= 0 && rows[row].cls >= 0; }
};

Structure analyse(const Graph& graph);

// The position of dep's row that position p reads, or -1.
inline int64_t dep_position(const Graph& graph, const Dep& dep, int64_t p) {
  return dep.table >= 0 ? graph.tables[dep.table][p] : dep.table == kDirect ? p : 0;
}

}  // namespace genfast
