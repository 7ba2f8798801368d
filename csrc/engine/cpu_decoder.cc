#include "engine/cpu_decoder.h"

#include <algorithm>

#include "base/errors.h"
#include "engine/cpu_arena.h"
#include "engine/cpu_binding.h"
#include "engine/cpu_heads.h"
#include "engine/cpu_states.h"

namespace genfast {
namespace {

// Rows of a group that pass through all its commands before the next ones: their activations stay in L1 and L2.
constexpr int64_t kBlockRows = 48;
// Bound steps are kept for the next tile up to here; the rest of a long plan is bound again each time.
constexpr size_t kBoundBytes = size_t{64} << 20;
// Scratch for attention scores: as many heads at a time as L2 holds beside their keys.
constexpr int64_t kScores = 65536;

class CpuDecoder : public Decoder {
 public:
  CpuDecoder(std::shared_ptr<const CpuPlan> cpu_plan, int64_t capacity)
      : cpu_plan_(std::move(cpu_plan)),
        graph_(*cpu_plan_->graph),
        capacity_(capacity),
        arena_(graph_, *cpu_plan_->plan, capacity),
        binding_(*cpu_plan_, arena_),
        bound_(cpu_plan_->plan->steps.size()),
        heads_(graph_, arena_.stride(graph_.head.value), cpu_plan_->plan->stride[0]) {
    int64_t keys = 0, scores = 0;
    for (const Node& node : graph_.nodes) {
      if (node.kind != NodeKind::attend) continue;
      const int64_t one = attend_scores(node.attention.keys);
      scores = std::max(scores, std::max(one, std::min(one * node.attention.heads, kScores)));
      if (node.attention.bitmap != kDirect) keys = std::max(keys, node.attention.keys);
    }
    scores_ = AlignedBuffer<float>(static_cast<size_t>(scores));
    visible_ = AlignedBuffer<int32_t>(static_cast<size_t>(keys));
    const Plan& plan = *cpu_plan_->plan;
    for (int32_t site : plan.known) known_.push_back(binding_.bind_site(site));
    if (plan.body >= 0) states_ = std::make_unique<CpuStates>(graph_, plan, arena_);
    if (!plan.output) return;
    Source output;  // through no table
    output.value = graph_.output.value;
    for (int64_t p = 0; p < graph_.values[output.value].positions; ++p) output_.push_back(arena_.read(output, p));
  }

  void begin(const Tile& tile, int64_t first_row) override {
    kernels_ = &active_kernels();
    tile_ = &tile;
    first_row_ = first_row;
    round_ = 0;
    place_conditions(tile);
    if (states_) states_->fill(tile.rows);
    heads_.place(known_, tile);
  }

  void step(int64_t index) override {
    if (index != cpu_plan_->plan->body) return run(index);
    if (tile_->rolls) states_->roll(*tile_);
    run(index);
    states_->advance(*tile_, first_row_, round_++);
  }

  void finish() override {
    if (!tile_->output) return;
    const int64_t channels = graph_.values[graph_.output.value].channels, stride = arena_.stride(graph_.output.value);
    float* to = tile_->output;
    for (int64_t r = 0; r < tile_->rows; ++r)
      for (int64_t c = 0; c < channels; ++c)
        for (const float* position : output_) {
          *to = position[r * stride + c];
          if (!(*to - *to == 0)) fail_at_output(to - tile_->output);
          ++to;
        }
  }

 private:
  void run(int64_t index) {
    std::unique_ptr<const StepCommands>& bound = bound_[static_cast<size_t>(index)];
    if (bound) return run_step(*bound);
    auto fresh = std::make_unique<const StepCommands>(binding_.bind(cpu_plan_->plan->steps[static_cast<size_t>(index)]));
    const StepCommands& step = *fresh;
    if (bound_bytes_ + step.bytes() <= kBoundBytes) {
      bound_bytes_ += step.bytes();
      bound = std::move(fresh);
    }
    run_step(step);
  }

  [[noreturn]] void fail_at_output(int64_t index) const {
    const Value& value = graph_.values[graph_.output.value];
    const int64_t elements = value.positions * value.channels;
    throw NumericalError("row " + std::to_string(first_row_ + index / elements) + ", element " + std::to_string(index % elements) +
                         " of the output is not finite");
  }

  void run_step(const StepCommands& step) {
    for (const CommandGroup& group : step.groups) run_group(step, group, tile_->rows);
    heads_.run(step.sites, *tile_, first_row_);
  }

  void place_conditions(const Tile& tile) {
    for (size_t i = 0; i < graph_.conditions.size(); ++i) {
      const int value = graph_.conditions[i].value;
      const int64_t positions = graph_.values[value].positions, channels = graph_.values[value].channels;
      const int64_t stride = cpu_plan_->plan->stride[value];
      for (int64_t p = 0; p < positions; ++p) {
        float* to = arena_.place(value, p);
        if (!to) continue;
        for (int64_t r = 0; r < tile.rows; ++r)
          for (int64_t c = 0; c < channels; ++c) to[r * stride + c] = tile.conditions[i][(r * channels + c) * positions + p];
      }
    }
  }

  void run_group(const StepCommands& step, const CommandGroup& group, int64_t rows) {
    const int64_t m = group.positions * rows;
    const int64_t blocks = std::max<int64_t>(1, (m + kBlockRows / 2) / kBlockRows);
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t begin = m * b / blocks, end = m * (b + 1) / blocks;
      for (int32_t c = group.begin; c < group.end; ++c) {
        const int32_t index = step.commands[c].index;
        switch (step.commands[c].kind) {
          case Command::Kind::gemm: {
            GemmArgs args = step.gemms[index].args;
            args.group_rows = rows;
            args.m_begin = begin;
            args.m_end = end;
            kernels_->gemm(args);
            break;
          }
          case Command::Kind::call:
            run_positions(step.calls[index], rows, begin, end);
            break;
          case Command::Kind::attend:
            run_attend(step.attends[index], rows, begin, end);
            break;
        }
      }
    }
  }

  void run_positions(const PositionCommand& call, int64_t rows, int64_t begin, int64_t end) {
    const bool full = rows == capacity_;
    int64_t m = begin;
    while (m < end) {
      const int64_t i = m / rows, r = m % rows;
      const int64_t reach = (full ? call.run[i] : 1) * rows - r;
      const int64_t count = std::min(reach, end - m);
      if (call.out[i]) run_rows(call, i, r, count);
      m += count;
    }
  }

  void run_attend(const AttendCommand& command, int64_t rows, int64_t begin, int64_t end) {
    const Node& node = graph_.nodes[command.node];
    const Attention& attention = node.attention;
    AttendArgs args = command.args;
    args.scores = scores_.data();
    args.scores_size = static_cast<int64_t>(scores_.size());
    for (int64_t m = begin; m < end; m += args.rows) {
      const int64_t i = m / rows, r = m % rows, p = command.positions[i];
      args.rows = std::min(rows - r, end - m);
      see(attention, p, args);
      if (node.bias >= 0) args.bias = graph_.weights[node.bias].data + p * attention.keys;
      args.q = command.q[i] + r * args.q_stride;
      args.out = command.out[i] + r * args.out_stride;
      args.first_row = r;
      kernels_->attend(args);
    }
  }

  // The keys that position p sees.
  void see(const Attention& attention, int64_t p, AttendArgs& args) {
    if (attention.bitmap == kDirect) {
      args.first = graph_.tables[attention.begin][p];
      args.count = graph_.tables[attention.end][p] - args.first;
      return;
    }
    const int32_t* words = graph_.tables[attention.bitmap].data() + p * attention.words();
    int32_t* next = visible_.data();
    for (int64_t w = 0; w < attention.words(); ++w)
      for (uint32_t bits = static_cast<uint32_t>(words[w]); bits; bits &= bits - 1)
        *next++ = static_cast<int32_t>(32 * w + __builtin_ctz(bits));
    args.visible = visible_.data();
    args.count = next - visible_.data();
  }

  void run_rows(const PositionCommand& call, int64_t i, int64_t r, int64_t rows) {
    float* out = call.out[i] + r * call.out_stride;
    switch (call.kind) {
      case PositionCommand::Kind::map: {
        MapOperand operands[3];
        for (int k = 0; k < call.operands; ++k)
          operands[k] = {call.in[k][i] + r * call.operand_stride[k], call.operand_stride[k], call.operand_broadcast[k]};
        kernels_->map[static_cast<int>(call.map_op)](out, call.out_stride, operands, call.params, rows, call.columns);
        break;
      }
      case PositionCommand::Kind::row:
        kernels_->row[static_cast<int>(call.row_op)](out, call.out_stride, call.in[0][i] + r * call.operand_stride[0],
                                                     call.operand_stride[0], call.params, call.weight, call.bias, rows,
                                                     call.columns);
        break;
      case PositionCommand::Kind::lookup: {
        const int64_t bad = kernels_->lookup(out, call.out_stride, call.in[0][i] + r * call.operand_stride[0],
                                             call.operand_stride[0], call.table, rows, call.columns);
        if (bad >= 0) {
          const Node& node = graph_.nodes[call.node];
          throw NumericalError("layer " + node.name + " looks up an index outside its table of " + std::to_string(call.table.rows) +
                               " rows (near row " + std::to_string(first_row_ + (r + bad) % capacity_) + ")");
        }
        break;
      }
    }
  }

  std::shared_ptr<const CpuPlan> cpu_plan_;
  const Graph& graph_;
  const int64_t capacity_;
  CpuArena arena_;
  CpuBinding binding_;
  std::vector<std::unique_ptr<const StepCommands>> bound_;  // [step], null until first run
  size_t bound_bytes_ = 0;
  std::vector<SiteCommand> known_;  // there before the first step: given, or without a distribution
  AlignedBuffer<float> scores_;
  AlignedBuffer<int32_t> visible_;
  CpuHeads heads_;
  std::unique_ptr<CpuStates> states_;  // of plans with a body
  std::vector<const float*> output_;   // [position] row 0, of plans with an output
  int64_t round_ = 0;
  const Kernels* kernels_ = nullptr;
  const Tile* tile_ = nullptr;
  int64_t first_row_ = 0;
};

}  // namespace

std::unique_ptr<Decoder> make_cpu_decoder(std::shared_ptr<const CpuPlan> cpu_plan, int64_t capacity) {
  return std::make_unique<CpuDecoder>(std::move(cpu_plan), capacity);
}

}  // namespace genfast
