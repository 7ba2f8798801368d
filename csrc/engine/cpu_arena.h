// The activations of one decoder: where row 0 of every (value, position) of the plan lies. Pages are touched only when something is
// written, so a plan that stops early costs what it has used. Used by cpu_binding.cc; it runs nothing.
#pragma once
#include <vector>

#include "base/aligned.h"
#include "graph/graph.h"
#include "plan/plan.h"

namespace genfast {

class CpuArena {
 public:
  // capacity: rows of a full tile. graph and plan must outlive it.
  CpuArena(const Graph& graph, const Plan& plan, int64_t capacity);

  int64_t capacity() const { return capacity_; }
  // Null where nothing is stored.
  float* place(int value, int64_t p);
  // Row 0 of what a source reads at position p of the reader, or null when it reads nothing there.
  const float* read(const Source& source, int64_t p);
  // Floats between rows.
  int64_t stride(int value) const { return constants_[value] ? 0 : plan_.stride[value]; }
  // What a gemm reads outside its source: a whole group's rows of +0.
  const float* zeros() const { return zeros_.data(); }
  // Row 0 of every key of source 1 or 2 of an attend node, null where nothing is stored. Made when first asked for.
  const float* const* keys(int node, int source);

 private:
  const Graph& graph_;
  const Plan& plan_;
  int64_t capacity_;
  AlignedBuffer<float> arena_, zeros_;
  std::vector<const float*> constants_;             // [value] data of const nodes
  std::vector<std::vector<const float*>> keys_[2];  // [source - 1][node][key]
};

}  // namespace genfast
