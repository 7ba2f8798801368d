#include "engine/cpu_decoder.h"

#include <algorithm>

#include "base/errors.h"
#include "engine/cpu_binding.h"

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
        values_(graph_.weights[graph_.head.values].data) {}

  void begin(const Tile& tile, int64_t first_row) override {
    kernels_ = &active_kernels();
    tile_ = &tile;
    first_row_ = first_row;
    place_conditions(tile);
  }

  void step(int64_t index) override {
    const StepCommands& step = binding_.steps[static_cast<size_t>(index)];
    for (const CommandGroup& group : step.groups) run_group(group, tile_->rows);
    for (const SiteCommand& site : step.sites) draw(site, *tile_);
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

  void draw(const SiteCommand& site, const Tile& tile) {
    const int64_t stride = cpu_plan_->plan->stride[graph_.head.value];
    int32_t* levels = tile.levels + site.site * tile.rows;
    const Head& head = graph_.head;
    if (tile.u) {
      const double* u = tile.u + site.site * tile.rows;
      const int64_t bad = head.kind == HeadKind::categorical
                              ? kernels_->categorical(levels, site.logits, stride, u, tile.temperature, tile.rows, head.levels)
                              : kernels_->bernoulli(levels, site.logits, stride, head.probs, u, tile.temperature, tile.rows);
      if (bad >= 0) fail(site.site, bad);
    } else if (tile.log_prob) {
      double* log_prob = tile.log_prob + site.site * tile.rows;
      const int64_t bad =
          head.kind == HeadKind::categorical
              ? kernels_->categorical_log_prob(log_prob, site.logits, stride, levels, tile.temperature, tile.rows, head.levels)
              : kernels_->bernoulli_log_prob(log_prob, site.logits, stride, head.probs, levels, tile.temperature, tile.rows);
      if (bad >= 0) fail(site.site, bad);
    }
    if (tile.logits) {
      const int64_t sites = graph_.sites(), per_site = head.kind == HeadKind::categorical ? head.levels : 1;
      for (int64_t r = 0; r < tile.rows; ++r)
        for (int64_t k = 0; k < per_site; ++k) tile.logits[(r * per_site + k) * sites + site.site] = site.logits[r * stride + k];
    }
    if (site.input)
      for (int64_t r = 0; r < tile.rows; ++r) site.input[r * cpu_plan_->plan->stride[0]] = values_[levels[r]];
  }

  [[noreturn]] void fail(int32_t site, int64_t row) const {
    throw NumericalError("row " + std::to_string(first_row_ + row) + ", site " + std::to_string(site) +
                         ": the model's output is NaN, +inf or all -inf" +
                         (graph_.head.probs ? ", or a probability outside [0, 1]" : "") +
                         "; check the weights, the conditions and the temperature");
  }

  std::shared_ptr<const CpuPlan> cpu_plan_;
  const Graph& graph_;
  const int64_t capacity_;
  CpuBinding binding_;
  const float* values_;
  const Kernels* kernels_ = nullptr;
  const Tile* tile_ = nullptr;
  int64_t first_row_ = 0;
};

}  // namespace

std::unique_ptr<Decoder> make_cpu_decoder(std::shared_ptr<const CpuPlan> cpu_plan, int64_t capacity) {
  return std::make_unique<CpuDecoder>(std::move(cpu_plan), capacity);
}

}  // namespace genfast
