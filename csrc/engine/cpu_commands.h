// The kernel calls a CPU decoder makes, with every pointer resolved against its arena. Built once per decoder (cpu_binding.cc), run
// for every tile (cpu_decoder.cc).
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"

namespace genfast {

struct GemmCommand {
  GemmArgs args;  // all but group_rows, m_begin and m_end
};

// One pointwise, row, lookup or copy call at each position. Pointers are [position] or [operand][position].
struct PositionCommand {
  enum class Kind : uint8_t { map, row, lookup } kind = Kind::map;
  uint8_t operands = 1;
  MapOp map_op = MapOp::identity;
  RowOp row_op = RowOp::sum;
  bool operand_broadcast[3] = {false, false, false};
  int64_t operand_stride[3] = {0, 0, 0};  // floats between rows
  const float* const* in[3] = {nullptr, nullptr, nullptr};
  float* const* out = nullptr;  // null entries: this command skips the position
  int64_t out_stride = 0, columns = 0;
  const float* params = nullptr;
  const float *weight = nullptr, *bias = nullptr;  // row
  LookupTable table{};                             // lookup
  const int32_t* run = nullptr;                    // run[i]: positions i, i + 1, … that one call covers when the tile is full
  int node = 0;
};

struct Command {
  bool is_gemm;
  int32_t index;  // into gemms or calls
};

struct CommandGroup {
  std::vector<Command> commands;
  int64_t positions = 0;
};

struct SiteCommand {
  int32_t site;
  const float* logits;  // row 0
  float* input;         // row 0 of the site's value, or null when nothing reads it
};

struct StepCommands {
  std::vector<CommandGroup> groups;
  std::vector<SiteCommand> sites;
};

}  // namespace genfast
