#include "engine/cpu_decoder.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/errors.h"
#include "base/not_finite.h"
#include "base/thread_pool.h"
#include "engine/cpu_arena.h"
#include "engine/cpu_binding.h"
#include "engine/cpu_heads.h"
#include "engine/cpu_states.h"

namespace genfast {
namespace {

// A group of so many multiply-adds is shared with other threads, which take some microseconds to come, in blocks of at least so
// many rows.
constexpr int64_t kSharedWork = int64_t{1} << 21, kFewestRows = 8;
// Bound steps are kept for the next tile up to here; the rest of a long plan is bound again each time.
constexpr size_t kBoundBytes = size_t{64} << 20;
// Scratch for attention scores: as many heads at a time as L2 holds beside their keys.
constexpr int64_t kScores = 65536;
// Positions that attend together; and floats of the keys that are turned for them, a quarter of L2.
constexpr int64_t kFewestTogether = 4, kMostTogether = 64, kMostTurned = int64_t{1} << 17;

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
    int64_t keys = 0, scores = 0, turned = 0;
    for (const Node& node : graph_.nodes) {
      if (node.kind != NodeKind::attend) continue;
      const int64_t one = attend_scores(node.attention.keys);
      scores = std::max(scores, std::max(one, std::min(one * node.attention.heads, kScores)));
      if (node.attention.bitmap != kDirect) keys = std::max(keys, node.attention.keys);
      if (turns(node)) turned = std::max(turned, turned_floats(node));
    }
    most_turned_ = static_cast<size_t>(turned);
    most_scores_ = static_cast<size_t>(scores);
    most_keys_ = static_cast<size_t>(keys);
    scratch_.push_back(make_scratch());
    const Plan& plan = *cpu_plan_->plan;
    std::vector<int32_t> known = plan.known;  // position after position, as they lie
    const int64_t positions = graph_.positions();
    std::sort(known.begin(), known.end(),
              [&](int32_t a, int32_t b) { return std::make_pair(a % positions, a) < std::make_pair(b % positions, b); });
    for (int32_t site : known) known_.push_back(binding_.bind_site(site));
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

  void run(int64_t first, int64_t last) override {
    for (int64_t index = first; index < last; ++index) {
      if (index == cpu_plan_->plan->body)
        run_round(index);
      else
        run_step(index);
    }
  }

  void finish() override {
    if (!tile_->output) return;
    const int64_t channels = graph_.values[graph_.output.value].channels, stride = arena_.stride(graph_.output.value);
    const auto positions = static_cast<int64_t>(output_.size());
    for (int64_t r = 0; r < tile_->rows; ++r) {
      float* to = tile_->output + r * channels * positions;
      for (int64_t first = 0; first < positions; first += 16) {  // few at a time: the channels of a position lie together
        const int64_t last = std::min<int64_t>(first + 16, positions);
        for (int64_t c = 0; c < channels; ++c)
          for (int64_t p = first; p < last; ++p) {
            to[c * positions + p] = output_[p][r * stride + c];
          }
      }
    }
    const int64_t bad = first_not_finite(tile_->output, tile_->rows * channels * positions);
    if (bad >= 0) fail_at_output(bad);
  }

 private:
  // Of attention.
  struct Scratch {
    AlignedBuffer<float> scores;
    AlignedBuffer<int32_t> visible;
    AlignedBuffer<float> turned;  // of positions that attend together
  };
  Scratch make_scratch() const {
    return {AlignedBuffer<float>(most_scores_), AlignedBuffer<int32_t>(most_keys_), AlignedBuffer<float>(most_turned_)};
  }

  // Whether positions of an attend node may go together: of intervals, with keys that fit L2 when they are turned.
  bool turns(const Node& node) const {
    return node.attention.bitmap == kDirect && graph_.values[node.out].positions >= kFewestTogether &&
           turned_floats(node) <= kMostTurned;
  }
  static int64_t turned_floats(const Node& node) {
    return (node.attention.dim + node.attention.dim_v + 4) * round_up(node.attention.keys, 16);
  }

  void run_round(int64_t index) {
    if (tile_->rolls) states_->roll(*tile_);
    run_step(index);
    states_->advance(*tile_, first_row_, round_++);
  }

  void run_step(int64_t index) {
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
    if (tile_->threads > 1 && group.work * rows >= kSharedWork) return share_group(step, group, rows);
    for (int32_t p = group.begin; p < group.end; ++p) {
      const int64_t m = step.parts[p].positions * rows, blocks = blocks_of(m, group.block_rows);
      for (int64_t b = 0; b < blocks; ++b)
        run_block(step, step.parts[p], rows, b * group.block_rows, b + 1 < blocks ? (b + 1) * group.block_rows : m, scratch_[0]);
    }
  }

  static int64_t blocks_of(int64_t m, int64_t rows) { return std::max<int64_t>(1, (m + rows / 2) / rows); }

  // On several threads, in blocks small enough to keep them all busy. Those that attend need scratch of their own: few jobs.
  void share_group(const StepCommands& step, const CommandGroup& group, int64_t rows) {
    struct Block {
      const CommandPart* part;
      int64_t begin, end;
    };
    int64_t all = 0;
    for (int32_t p = group.begin; p < group.end; ++p) all += step.parts[p].positions * rows;
    const int64_t block_rows = std::clamp<int64_t>(all / (2 * tile_->threads), kFewestRows, group.block_rows);
    std::vector<Block> list;
    for (int32_t p = group.begin; p < group.end; ++p) {
      const int64_t m = step.parts[p].positions * rows, blocks = blocks_of(m, block_rows);
      for (int64_t b = 0; b < blocks; ++b) list.push_back({&step.parts[p], m * b / blocks, m * (b + 1) / blocks});
    }
    const int64_t count = static_cast<int64_t>(list.size());
    const int64_t jobs = group.attends ? std::min<int64_t>(count, tile_->threads) : count;
    if (group.attends)
      while (static_cast<int64_t>(scratch_.size()) < jobs) scratch_.push_back(make_scratch());
    parallel_for(jobs, tile_->threads, [&](int64_t job) {
      Scratch& scratch = scratch_[group.attends ? static_cast<size_t>(job) : 0];
      for (int64_t i = count * job / jobs; i < count * (job + 1) / jobs; ++i)
        run_block(step, *list[static_cast<size_t>(i)].part, rows, list[static_cast<size_t>(i)].begin,
                  list[static_cast<size_t>(i)].end, scratch);
    });
  }

  void run_block(const StepCommands& step, const CommandPart& part, int64_t rows, int64_t begin, int64_t end, Scratch& scratch) {
    for (int32_t c = part.begin; c < part.end; ++c) {
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
        case Command::Kind::gather:
          run_gather(step.gathers[index], rows, begin, end);
          break;
        case Command::Kind::attend:
          run_attend(step.attends[index], rows, begin, end, scratch);
          break;
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

  static void run_gather(const GatherCommand& command, int64_t rows, int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end;) {
      const int64_t i = m / rows, r = m % rows, count = std::min(rows - r, end - m);
      for (int32_t k = command.first[i]; k < command.first[i + 1]; ++k) {
        const GatherCommand::Piece& piece = command.pieces[k];
        const float* in = piece.in + r * piece.in_stride;
        float* out = piece.out + r * command.out_stride;
        for (int64_t j = 0; j < count; ++j, in += piece.in_stride, out += command.out_stride) {
          if (piece.columns == 1)
            *out = *in;
          else
            std::memcpy(out, in, static_cast<size_t>(piece.columns) * sizeof(float));
        }
      }
      m += count;
    }
  }

  void run_attend(const AttendCommand& command, int64_t rows, int64_t begin, int64_t end, Scratch& scratch) {
    const Node& node = graph_.nodes[command.node];
    const Attention& attention = node.attention;
    AttendArgs args = command.args;
    args.scores = scratch.scores.data();
    args.scores_size = static_cast<int64_t>(scratch.scores.size());
    const bool may_turn = turns(node);
    for (int64_t m = begin; m < end;) {
      const int64_t i = m / rows, r = m % rows, p = command.positions[i];
      const int64_t together = r == 0 && may_turn ? attend_together(command, rows, i, (end - m) / rows, scratch) : 0;
      m += together * rows;
      if (together > 0) continue;
      args.rows = std::min(rows - r, end - m);
      see(attention, p, scratch, args);
      if (node.bias >= 0) args.bias = graph_.weights[node.bias].data + p * attention.keys;
      args.q = command.q[i] + r * args.q_stride;
      args.out = command.out[i] + r * args.out_stride;
      args.first_row = r;
      kernels_->attend(args);
      m += args.rows;
    }
  }

  // Positions of a command from the i-th on that see keys from the same one on; how many of `most` it was, 0 where that is few.
  int64_t attend_together(const AttendCommand& command, int64_t rows, int64_t i, int64_t most, Scratch& scratch) {
    const Node& node = graph_.nodes[command.node];
    const Attention& attention = node.attention;
    const std::vector<int32_t>&first = graph_.tables[attention.begin], &last = graph_.tables[attention.end];
    std::array<int64_t, kMostTogether> counts;
    std::array<const float*, kMostTogether> bias;
    AttendManyArgs many{};
    many.first = most > 0 ? first[command.positions[i]] : 0;
    int64_t n = 0;
    for (; n < std::min(most, kMostTogether); ++n) {
      const int32_t p = command.positions[i + n];
      counts[n] = last[p] - first[p];
      if (first[p] != many.first || counts[n] < 1) break;
      many.count = std::max(many.count, counts[n]);
      if (node.bias >= 0) bias[n] = graph_.weights[node.bias].data + p * attention.keys;
    }
    if (n < kFewestTogether) return 0;
    const AttendArgs& args = command.args;
    many.positions = n;
    many.out = command.out + i;
    many.q = command.q + i;
    many.counts = counts.data();
    many.bias = node.bias >= 0 ? bias.data() : nullptr;
    many.out_stride = args.out_stride;
    many.q_stride = args.q_stride;
    many.q_step = args.q_step;
    many.k = args.k;
    many.k_stride = args.k_stride;
    many.k_step = args.k_step;
    many.v = args.v;
    many.v_stride = args.v_stride;
    many.v_step = args.v_step;
    many.heads = args.heads;
    many.kv_heads = args.kv_heads;
    many.dim = args.dim;
    many.dim_v = args.dim_v;
    many.scale = args.scale;
    many.bias_step = args.bias_step;
    many.panel = scratch.turned.data();
    many.values = many.panel + args.dim * round_up(attention.keys, 16);
    many.scores = many.values + args.dim_v * round_up(attention.keys, 16);
    many.rows = rows;
    kernels_->attend_many(many);
    return n;
  }

  // The keys that position p sees.
  void see(const Attention& attention, int64_t p, Scratch& scratch, AttendArgs& args) {
    if (attention.bitmap == kDirect) {
      args.first = graph_.tables[attention.begin][p];
      args.count = graph_.tables[attention.end][p] - args.first;
      return;
    }
    const int32_t* words = graph_.tables[attention.bitmap].data() + p * attention.words();
    int32_t* next = scratch.visible.data();
    for (int64_t w = 0; w < attention.words(); ++w)
      for (uint32_t bits = static_cast<uint32_t>(words[w]); bits; bits &= bits - 1)
        *next++ = static_cast<int32_t>(32 * w + __builtin_ctz(bits));
    args.visible = scratch.visible.data();
    args.count = next - scratch.visible.data();
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
  size_t most_scores_ = 0, most_keys_ = 0, most_turned_ = 0;
  std::vector<Scratch> scratch_;  // [job] of a group that several threads share; the first is there always
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
