// The CPU's Decoder: the plan's groups bound to one arena as lists of kernel calls with ready-made pointers. Made by
// cpu_backend.cc.
#pragma once
#include <memory>

#include "engine/backend.h"
#include "plan/gemm_pieces.h"

namespace genfast {

// Everything about a plan on the CPU that does not depend on the row-tile.
struct CpuPlan {
  std::shared_ptr<const Graph> graph;
  std::shared_ptr<const Plan> plan;
  // [node][class][piece]
  std::vector<std::vector<std::vector<std::unique_ptr<GemmPiece>>>> pieces;
};

std::unique_ptr<Decoder> make_cpu_decoder(std::shared_ptr<const CpuPlan> cpu_plan, int64_t capacity);

}  // namespace genfast
