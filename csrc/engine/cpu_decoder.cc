#include "engine/cpu_decoder.h"

#include <algorithm>

#include "base/errors.h"
#include "engine/cpu_binding.h"
#include "engine/cpu_heads.h"

namespace genfast {
namespace {

// Rows of a group that pass through all its commands before the next ones: their activations stay in L1 and L2.
constexpr int64_t kBlockRows = 48;

class CpuDecoder : public Decoder {
 public:
  CpuDecoder(std::shared_ptr<const CpuPlan> cpu_plan, int64_t capacity)
      : cpu_plan_(std::move(cpu_plan)),
        graph_(*cpu_plan_->graph),
        capacity_(capacity),
        binding_(*cpu_plan_, capacity),
        heads_(graph_, binding_.read_stride(graph_.head.value), cpu_plan_->plan->stride[0]) {}

  void begin(const Tile& tile, int64_t first_row) override {
    kernels_ = &active_kernels();
    tile_ = &tile;
    first_row_ = first_row;
    place_conditions(tile);
    heads_.place(binding_.undrawn, tile);
  }

  void step(int64_t index) override {
    const StepCommands& step = binding_.steps[static_cast<size_t>(index)];
    for (const CommandGroup& group : step.groups) run_group(group, tile_->rows);
    heads_.run(step.sites, *tile_, first_row_);
  }

 private:
  void place_conditions(const Tile& tile) {
    for (size_t i = 0; i < graph_.conditions.size(); ++i) {
      const int value = graph_.conditions[i].value;
      const int64_t positions = graph_.values[value].positions, channels = graph_.values[value].channels;
      const int64_t stride = cpu_plan_->plan->stride[value];
      for (int64_t p = 0; p < positions; ++p) {
        float* to = binding_.condition(value, p);
        if (!to) continue;
        for (int64_t r = 0; r < tile.rows; ++r)
          for (int64_t c = 0; c < channels; ++c) to[r * stride + c] = tile.conditions[i][(r * channels + c) * positions + p];
      }
    }
  }

  void run_group(const CommandGroup& group, int64_t rows) {
    const int64_t m = group.positions * rows;
    const int64_t blocks = std::max<int64_t>(1, (m + kBlockRows / 2) / kBlockRows);
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t begin = m * b / blocks, end = m * (b + 1) / blocks;
      for (const Command& command : group.commands) {
        if (command.is_gemm) {
          GemmArgs args = binding_.gemms[command.index].args;
          args.group_rows = rows;
          args.m_begin = begin;
          args.m_end = end;
          kernels_->gemm(args);
        } else {
          run_positions(binding_.calls[command.index], rows, begin, end);
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
                                             call.operand_stride[0], call.weight, call.table_rows, rows, call.columns);
        if (bad >= 0) {
          const Node& node = graph_.nodes[call.node];
          throw NumericalError("layer " + node.name + " looks up an index outside its table of " + std::to_string(call.table_rows) +
                               " rows (near row " + std::to_string(first_row_ + (r + bad) % capacity_) + ")");
        }
        break;
      }
    }
  }

  std::shared_ptr<const CpuPlan> cpu_plan_;
  const Graph& graph_;
  const int64_t capacity_;
  CpuBinding binding_;
  CpuHeads heads_;
  const Kernels* kernels_ = nullptr;
  const Tile* tile_ = nullptr;
  int64_t first_row_ = 0;
};

}  // namespace

std::unique_ptr<Decoder> make_cpu_decoder(std::shared_ptr<const CpuPlan> cpu_plan, int64_t capacity) {
  return std::make_unique<CpuDecoder>(std::move(cpu_plan), capacity);
}

}  // namespace genfast
