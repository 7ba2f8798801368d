// Binding: a step of a plan turned into commands on one decoder's arena. Called by cpu_decoder.cc when a step is first run.
#pragma once
#include "engine/cpu_arena.h"
#include "engine/cpu_commands.h"
#include "engine/cpu_decoder.h"

namespace genfast {

class CpuBinding {
 public:
  // cpu_plan and arena must outlive it.
  CpuBinding(const CpuPlan& cpu_plan, CpuArena& arena);

  StepCommands bind(const Step& step);
  SiteCommand bind_site(int32_t site) const;

 private:
  // What a gemm does to its result before storing it: the maps that follow it in its group and are its only readers.
  struct Epilogue {
    size_t tasks = 0;
    int out = -1;  // the value it stores
    const Source* residual = nullptr;
    bool relu = false;
    int relu_out = -1;  // the value it stores too, out's relu
  };
  using Positions = std::vector<int32_t>;

  void bind_group(const Group& group);
  std::vector<Positions> split_group(const Group& group) const;
  void bind_positions(const Group& group, const Positions& positions);
  void bind_task(const Task& task, const Positions& positions);
  Epilogue find_epilogue(const Group& group, size_t task) const;
  bool reads_whole(const Source& source, int out) const;
  void bind_gemm(const GemmPiece& piece, const Epilogue& epilogue, const Positions& positions);
  void bind_map(const Node& node, ChannelRange range, const Positions& positions);
  void bind_copy(const Node& node, ChannelRange range, const Positions& positions);
  void bind_gather(const Node& node, const std::vector<Source>& blocks, const Positions& positions);
  void bind_row(const Node& node, const Positions& positions);
  void bind_lookup(const Node& node, const Positions& positions);
  void bind_attend(const Node& node, const Positions& positions);

  int index_of(const Node& node) const { return static_cast<int>(&node - graph_.nodes.data()); }
  float** places(int value, int64_t channel, const Positions& positions);
  const float** reads(const Source& source, const Positions& positions);
  PositionCommand start(const Node& node, ChannelRange range, const Positions& positions);
  void add_operand(PositionCommand& call, int k, const Source& source, const Positions& positions);
  void finish(PositionCommand& call, const Positions& positions);
  template <class T>
  void add(Command::Kind kind, std::vector<T>& list, const T& command);

  const CpuPlan& cpu_plan_;
  const Graph& graph_;
  const Plan& plan_;
  CpuArena& arena_;
  std::vector<int32_t> readers_;  // [value] how many sources read it
  StepCommands step_;             // being bound
  int64_t work_ = 0;              // of the group being bound
};

}  // namespace genfast
