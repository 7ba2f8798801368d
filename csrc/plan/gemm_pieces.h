// Gemm nodes made ready for kernels of any device: one piece for each run of output columns that are computed together, with its K
// indices cut at chunk boundaries. Whole nodes use the file's packed weights in place; only classes that a plan splits are copied.
#pragma once
#include <memory>
#include <vector>

#include "base/aligned.h"
#include "base/gemm_packing.h"
#include "graph/graph.h"
#include "plan/plan.h"

namespace genfast {

// What a GemmSegment reads, before positions are known.
struct PieceSegment {
  int value, table;
  int64_t channel;
  GemmSegment run;

  Source source() const {
    Source source;
    source.value = value;
    source.table = table;
    source.channel = channel;
    return source;
  }
};

struct GemmPiece {
  int64_t column = 0, columns = 0;  // of the node's output
  int64_t k_rows = 0;
  const void* weights = nullptr;
  WeightType type = WeightType::f32;
  const float *bias = nullptr, *scales = nullptr;  // padded, or null
  std::vector<PieceSegment> segments;
  AlignedBuffer<uint8_t> copy;  // of all three, where the class is not the whole node
};

// Pieces of one class of a gemm node.
std::vector<std::unique_ptr<GemmPiece>> gemm_pieces(const Graph& graph, const Node& node, const PlanClass& cls);

}  // namespace genfast
