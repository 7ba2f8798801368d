// Binding: a plan's groups turned into commands on one arena. Runs once when a decoder is made; the commands point into the vectors
// kept here.
#pragma once
#include <deque>
#include <vector>

#include "base/aligned.h"
#include "engine/cpu_commands.h"
#include "engine/cpu_decoder.h"

namespace genfast {

class CpuBinding {
 public:
  // capacity: rows of a full tile.
  CpuBinding(const CpuPlan& cpu_plan, int64_t capacity);

  std::vector<StepCommands> steps;
  std::vector<GemmCommand> gemms;
  std::vector<PositionCommand> calls;
  std::vector<SiteCommand> undrawn;  // of no step: given, or without a distribution
  // Where row 0 of a condition's position starts, or null when nothing reads it.
  float* condition(int value, int64_t p) const { return place(value, p); }
  // Floats between the rows of a value that is read.
  int64_t read_stride(int value) const;

 private:
  float* place(int value, int64_t p) const;
  // Row 0 of what a source reads at position p, or null when it reads nothing there.
  const float* read(const Source& source, int64_t p) const;

  // What a gemm does to its result before storing it: the maps that follow it in its group and are its only readers.
  struct Epilogue {
    size_t tasks = 0;
    int out = -1;  // the value it stores
    const Source* residual = nullptr;
    bool relu = false;
  };

  SiteCommand bind_site(int32_t site) const;
  void bind_group(const Group& group, CommandGroup& commands);
  void bind(const Task& task, const std::vector<int32_t>& positions, CommandGroup& group);
  Epilogue find_epilogue(const Group& group, size_t task) const;
  bool reads_whole(const Source& source, int out) const;
  void bind_gemm(const GemmPiece& piece, const Epilogue& epilogue, const std::vector<int32_t>& positions, CommandGroup& group);
  void bind_map(const Node& node, ChannelRange range, const std::vector<int32_t>& positions, CommandGroup& group);
  void bind_copy(const Node& node, ChannelRange range, const std::vector<int32_t>& positions, CommandGroup& group);
  void bind_row(const Node& node, const std::vector<int32_t>& positions, CommandGroup& group);
  void bind_lookup(const Node& node, const std::vector<int32_t>& positions, CommandGroup& group);
  PositionCommand start(const Node& node, ChannelRange range, const std::vector<int32_t>& positions);
  void add_operand(PositionCommand& call, int k, const Source& source, const std::vector<int32_t>& positions);
  void finish(PositionCommand& call, const std::vector<int32_t>& positions, CommandGroup& group);

  const CpuPlan& cpu_plan_;
  const Graph& graph_;
  const Plan& plan_;
  int64_t capacity_;
  AlignedBuffer<float> arena_, zeros_;
  std::vector<const float*> constants_;  // [value] data of const nodes
  std::vector<int32_t> readers_;         // [value] how many sources read it
  // Deques: growing them leaves the commands' pointers alone.
  std::deque<std::vector<const float*>> in_pointers_;
  std::deque<std::vector<float*>> out_pointers_;
  std::deque<std::vector<GemmSegment>> segments_;
  std::deque<std::vector<int64_t>> strides_;
  std::deque<std::vector<int32_t>> runs_;
};

}  // namespace genfast
