#include "engine/cpu_binding.h"

#include <algorithm>
#include <utility>

#include "engine/tap_patterns.h"

namespace genfast {
namespace {

// One element of a pointwise node, in multiply-adds.
constexpr int64_t kWorkOfMap = 16;
// Rows of a group that pass through all its commands before the next ones: their activations stay in L1 and L2. A multiple of the
// 14 and of the 6 rows of register tiles. Values of a few channels take more of them, so many floats, for a call costs as much as
// some hundred. So do large weights, which every block reads from L2 at best: a row for so many bytes, while the widest value of a
// block has at most so many floats.
constexpr int64_t kBlockRows = 42, kNarrowBlock = 768, kWeightsARow = 1536, kWideBlock = 16384;
// A copy's blocks that leave out most positions, this many of each they fill, are taken piece by piece.
constexpr int64_t kSparse = 4;
constexpr int64_t kAttendPositions = 64;

}  // namespace

CpuBinding::CpuBinding(const CpuPlan& cpu_plan, CpuArena& arena)
    : cpu_plan_(cpu_plan),
      graph_(*cpu_plan.graph),
      plan_(*cpu_plan.plan),
      arena_(arena),
      readers_(cpu_plan.graph->values.size(), 0) {
  for (const Node& node : graph_.nodes)
    for (const Source& source : node.sources) ++readers_[source.value];
  ++readers_[graph_.head.value];
  if (graph_.output.value >= 0) ++readers_[graph_.output.value];
  for (const State& state : graph_.iteration.states) ++readers_[state.next];
}

StepCommands CpuBinding::bind(const Step& step) {
  step_ = StepCommands();
  step_.groups.reserve(step.groups.size());
  for (const Group& group : step.groups) bind_group(group);
  step_.sites.reserve(step.sites.size());
  for (int32_t site : step.sites) step_.sites.push_back(bind_site(site));
  return std::move(step_);
}

SiteCommand CpuBinding::bind_site(int32_t site) const {
  const int64_t at = graph_.head_position(site), positions = graph_.positions();
  float* input = arena_.place(0, site % positions);
  SiteCommand command{site, nullptr, input ? input + site / positions : nullptr};
  if (at >= 0) {
    Source logits;  // through no table: `at` is the value's own position
    logits.value = graph_.head.value;
    logits.channel = graph_.head.channel;
    command.logits = arena_.read(logits, at);
  }
  return command;
}

void CpuBinding::bind_task(const Task& task, const Positions& positions) {
  const Node& node = graph_.nodes[task.node];
  const PlanClass& cls = plan_.classes[task.node][task.cls];
  switch (node.kind) {
    case NodeKind::constant:
    case NodeKind::gemm:  // bind_group
      break;
    case NodeKind::map:
      for (const ChannelRange& range : cls.channels) bind_map(node, range, positions);
      break;
    case NodeKind::copy:
      for (const ChannelRange& range : cls.channels) bind_copy(node, range, positions);
      break;
    case NodeKind::row:
      bind_row(node, positions);
      break;
    case NodeKind::lookup:
      bind_lookup(node, positions);
      break;
    case NodeKind::attend:
      bind_attend(node, positions);
      break;
  }
}

void CpuBinding::bind_group(const Group& group) {
  CommandGroup bound{static_cast<int32_t>(step_.parts.size()), 0, 0, 0, false};
  work_ = 0;
  for (const Positions& positions : split_group(group)) bind_positions(group, positions);
  int64_t widest = 1, weights = 0;
  for (const Task& task : group.tasks) {
    const Node& node = graph_.nodes[task.node];
    if (node.kind == NodeKind::gemm)
      for (const auto& piece : cpu_plan_.pieces[task.node][task.cls])
        weights += piece->k_rows * round_up(piece->columns, 16) * info(piece->type).bytes;
    bound.attends = bound.attends || node.kind == NodeKind::attend;
    widest = std::max(widest, graph_.values[node.out].channels);
  }
  bound.block_rows =
      round_up(std::max({kBlockRows, kNarrowBlock / widest, std::min(weights / kWeightsARow, kWideBlock / widest)}), kBlockRows);
  // Positions that attend together read the same keys.
  if (bound.attends) bound.block_rows = std::max(bound.block_rows, kAttendPositions * arena_.capacity());
  bound.end = static_cast<int32_t>(step_.parts.size());
  bound.work = work_;
  step_.groups.push_back(bound);
}

// No task of a group reads what the group computes at another position, so its positions may be computed in any order.
std::vector<CpuBinding::Positions> CpuBinding::split_group(const Group& group) const {
  if (group.positions.size() == 1) return {group.positions};
  std::vector<Source> taps;
  std::vector<int64_t> tap_work;
  for (const Task& task : group.tasks) {
    if (graph_.nodes[task.node].kind != NodeKind::gemm) continue;
    for (const auto& piece : cpu_plan_.pieces[task.node][task.cls]) {
      for (const PieceSegment& segment : piece->segments) {
        const int64_t work = segment.run.count * round_up(piece->columns, 16);
        const auto same = [&](const Source& tap) { return tap.value == segment.value && tap.table == segment.table; };
        const auto found = std::find_if(taps.begin(), taps.end(), same);
        if (found != taps.end()) {
          tap_work[static_cast<size_t>(found - taps.begin())] += work;
          continue;
        }
        taps.push_back(segment.source());
        tap_work.push_back(work);
      }
    }
  }
  if (taps.size() < 2) return {group.positions};
  return split_by_taps(group.positions, tap_work, arena_.capacity(),
                       [&](size_t tap, int32_t p) { return arena_.read(taps[tap], p) != nullptr; });
}

void CpuBinding::bind_positions(const Group& group, const Positions& positions) {
  const auto begin = static_cast<int32_t>(step_.commands.size());
  for (size_t k = 0; k < group.tasks.size(); ++k) {
    const Task& task = group.tasks[k];
    if (graph_.nodes[task.node].kind == NodeKind::gemm) {
      const Epilogue epilogue = find_epilogue(group, k);
      for (const auto& piece : cpu_plan_.pieces[task.node][task.cls]) bind_gemm(*piece, epilogue, positions);
      k += epilogue.tasks;
    } else {
      bind_task(task, positions);
    }
  }
  step_.parts.push_back({begin, static_cast<int32_t>(step_.commands.size()), static_cast<int64_t>(positions.size())});
}

// All channels of a value, at the reader's own position.
bool CpuBinding::reads_whole(const Source& source, int out) const {
  return source.table == kDirect && source.channel == 0 && !source.broadcast &&
         graph_.values[source.value].positions == graph_.values[out].positions &&
         graph_.values[source.value].channels == graph_.values[out].channels;
}

// The memory plan lets a map of whole values write over an operand of its own and nothing else, so storing its result already in
// the gemm cannot overwrite what the gemm still reads.
CpuBinding::Epilogue CpuBinding::find_epilogue(const Group& group, size_t task) const {
  Epilogue found;
  found.out = graph_.nodes[group.tasks[task].node].out;
  if (plan_.classes[group.tasks[task].node].size() != 1) return found;
  for (size_t k = task + 1; k < group.tasks.size() && readers_[found.out] == 1 && !found.relu; ++k) {
    const Node& node = graph_.nodes[group.tasks[k].node];
    if (node.kind != NodeKind::map || plan_.classes[group.tasks[k].node].size() != 1) break;
    if (node.map_op == MapOp::relu) {
      if (node.sources[0].value != found.out || !reads_whole(node.sources[0], node.out)) break;
      found.relu = true;
    } else if (node.map_op == MapOp::add && !found.residual) {
      const int own = node.sources[0].value == found.out ? 0 : 1;
      if (node.sources[own].value != found.out || !reads_whole(node.sources[0], node.out) ||
          !reads_whole(node.sources[1], node.out))
        break;
      found.residual = &node.sources[1 - own];
    } else {
      break;
    }
    found.out = node.out;
    ++found.tasks;
  }
  // What others read as well is stored beside its relu.
  const size_t next = task + 1 + found.tasks;
  if (found.relu || next == group.tasks.size()) return found;
  const Node& node = graph_.nodes[group.tasks[next].node];
  if (node.kind == NodeKind::map && node.map_op == MapOp::relu && plan_.classes[group.tasks[next].node].size() == 1 &&
      node.sources[0].value == found.out && reads_whole(node.sources[0], node.out)) {
    found.relu_out = node.out;
    ++found.tasks;
  }
  return found;
}

template <class T>
void CpuBinding::add(Command::Kind kind, std::vector<T>& list, const T& command) {
  step_.commands.push_back({kind, static_cast<int32_t>(list.size())});
  list.push_back(command);
}

float** CpuBinding::places(int value, int64_t channel, const Positions& positions) {
  float** out = step_.pool.array<float*>(positions.size());
  for (size_t i = 0; i < positions.size(); ++i) out[i] = arena_.place(value, positions[i]) + channel;
  return out;
}

const float** CpuBinding::reads(const Source& source, const Positions& positions) {
  const float** in = step_.pool.array<const float*>(positions.size());
  for (size_t i = 0; i < positions.size(); ++i) in[i] = arena_.read(source, positions[i]);
  return in;
}

void CpuBinding::bind_gemm(const GemmPiece& piece, const Epilogue& epilogue, const Positions& positions) {
  const size_t n = positions.size();
  GemmSegment* segments = step_.pool.array<GemmSegment>(piece.segments.size());
  const float** sources = step_.pool.array<const float*>(piece.segments.size() * n);
  int64_t* strides = step_.pool.array<int64_t>(piece.segments.size());
  int64_t kept = 0;
  bool boundary = false;  // of a segment that is left out because it lies outside at every position
  for (const PieceSegment& segment : piece.segments) {
    const Source source = segment.source();
    const float** row = sources + kept * static_cast<int64_t>(n);
    bool used = false;
    for (size_t i = 0; i < n; ++i) {
      const float* from = arena_.read(source, positions[i]);
      used = used || from;
      row[i] = from ? from : arena_.zeros();
    }
    boundary = boundary || segment.run.new_chunk;
    if (!used) continue;
    segments[kept] = segment.run;
    segments[kept].new_chunk = boundary;
    strides[kept] = arena_.stride(segment.value);
    boundary = false;
    work_ += segment.run.count * round_up(piece.columns, 16) * static_cast<int64_t>(n);
    ++kept;
  }
  GemmCommand command{};
  GemmArgs& args = command.args;
  args.segments = segments;
  args.n_segments = kept;
  args.sources = sources;
  args.source_stride = strides;
  args.out = places(epilogue.out, piece.column, positions);
  args.out_stride = plan_.stride[epilogue.out];
  args.groups = static_cast<int64_t>(n);
  args.weights = piece.weights;
  args.weight_type = piece.type;
  args.scales = piece.scales;
  args.k_rows = piece.k_rows;
  args.columns = piece.columns;
  args.bias = piece.bias;
  args.relu = epilogue.relu;
  if (epilogue.residual) {
    Source residual = *epilogue.residual;
    residual.channel += piece.column;
    args.residual = reads(residual, positions);
    args.residual_stride = arena_.stride(residual.value);
  }
  if (epilogue.relu_out >= 0) {
    args.relu_out = places(epilogue.relu_out, piece.column, positions);
    args.relu_out_stride = plan_.stride[epilogue.relu_out];
  }
  add(Command::Kind::gemm, step_.gemms, command);
}

PositionCommand CpuBinding::start(const Node& node, ChannelRange range, const Positions& positions) {
  PositionCommand call;
  call.node = index_of(node);
  call.out_stride = plan_.stride[node.out];
  call.columns = range.end - range.begin;
  call.params = node.params.data();
  call.out = places(node.out, range.begin, positions);
  return call;
}

void CpuBinding::add_operand(PositionCommand& call, int k, const Source& source, const Positions& positions) {
  call.in[k] = reads(source, positions);
  call.operand_stride[k] = arena_.stride(source.value);
  call.operand_broadcast[k] = source.broadcast;
}

// Neighbouring positions whose pointers all advance by one full tile are one longer run of rows. No task of a group reads what the
// group computes at another position, so nothing in a run waits for what comes before it.
void CpuBinding::finish(PositionCommand& call, const Positions& positions) {
  // In a tile of one row there is no other distance between rows than that between positions, whatever it is: 0 where all read one.
  if (arena_.capacity() == 1 && positions.size() > 1 && call.out[0] && call.out[1]) {
    call.out_stride = call.out[1] - call.out[0];
    for (int k = 0; k < call.operands; ++k) call.operand_stride[k] = call.in[k][1] - call.in[k][0];
  }
  int32_t* run = step_.pool.array<int32_t>(positions.size());
  for (size_t i = positions.size(); i-- > 0;) {
    run[i] = 1;
    if (i + 1 == positions.size() || !call.out[i] || !call.out[i + 1]) continue;
    bool joined = call.out[i + 1] - call.out[i] == call.out_stride * arena_.capacity();
    for (int k = 0; k < call.operands; ++k)
      joined = joined && call.in[k][i + 1] - call.in[k][i] == call.operand_stride[k] * arena_.capacity();
    if (joined) run[i] = run[i + 1] + 1;
  }
  call.run = run;
  work_ += kWorkOfMap * call.columns * static_cast<int64_t>(positions.size());
  add(Command::Kind::call, step_.calls, call);
}

void CpuBinding::bind_map(const Node& node, ChannelRange range, const Positions& positions) {
  PositionCommand call = start(node, range, positions);
  call.map_op = node.map_op;
  call.operands = static_cast<uint8_t>(node.sources.size());
  for (size_t k = 0; k < node.sources.size(); ++k) {
    Source source = node.sources[k];
    if (!source.broadcast) source.channel += range.begin;
    add_operand(call, static_cast<int>(k), source, positions);
  }
  finish(call, positions);
}

void CpuBinding::bind_copy(const Node& node, ChannelRange range, const Positions& positions) {
  const auto n = static_cast<int64_t>(positions.size());
  std::vector<Source> blocks;  // what lies inside the range, of those that fill any of these positions
  int64_t pieces = 0;
  std::vector<std::pair<int64_t, int64_t>> everywhere;  // channels that a block fills at all these positions
  for (const Source& block : node.sources) {
    const ChannelRange part{std::max(range.begin, block.offset), std::min(range.end, block.offset + block.count)};
    if (part.begin >= part.end) continue;
    const int64_t filled =
        std::count_if(positions.begin(), positions.end(), [&](int32_t p) { return source_position(graph_, block, p) >= 0; });
    if (filled == 0) continue;
    Source inside = block;
    inside.channel += part.begin - block.offset;
    inside.offset = part.begin;
    inside.count = part.end - part.begin;
    blocks.push_back(inside);
    pieces += filled;
    if (filled == n) everywhere.emplace_back(part.begin, part.end);
  }
  std::sort(everywhere.begin(), everywhere.end());
  int64_t covered = range.begin;
  for (const auto& [begin, end] : everywhere)
    if (begin <= covered) covered = std::max(covered, end);
  if (covered < range.end) {
    PositionCommand fill = start(node, range, positions);
    const float** in = step_.pool.array<const float*>(positions.size());
    std::fill_n(in, positions.size(), node.params.data());
    fill.in[0] = in;
    fill.operand_broadcast[0] = true;
    finish(fill, positions);
  }
  if (pieces * kSparse < n * static_cast<int64_t>(blocks.size())) return bind_gather(node, blocks, positions);
  for (const Source& block : blocks) {
    PositionCommand call = start(node, {block.offset, block.offset + block.count}, positions);
    add_operand(call, 0, block, positions);
    float** out = places(node.out, block.offset, positions);
    for (size_t i = 0; i < positions.size(); ++i)
      if (!call.in[0][i]) out[i] = nullptr;
    call.out = out;
    finish(call, positions);
  }
}

void CpuBinding::bind_gather(const Node& node, const std::vector<Source>& blocks, const Positions& positions) {
  std::vector<std::vector<GatherCommand::Piece>> found(positions.size());
  int64_t floats = 0;
  for (const Source& block : blocks) {
    for (size_t i = 0; i < positions.size(); ++i) {
      const float* in = arena_.read(block, positions[i]);
      if (!in) continue;
      found[i].push_back({in, arena_.place(node.out, positions[i]) + block.offset, arena_.stride(block.value), block.count});
      floats += block.count;
    }
  }
  GatherCommand command;
  command.out_stride = plan_.stride[node.out];
  int32_t* first = step_.pool.array<int32_t>(positions.size() + 1);
  first[0] = 0;
  for (size_t i = 0; i < positions.size(); ++i) first[i + 1] = first[i] + static_cast<int32_t>(found[i].size());
  GatherCommand::Piece* pieces = step_.pool.array<GatherCommand::Piece>(static_cast<size_t>(first[positions.size()]));
  for (size_t i = 0; i < positions.size(); ++i) std::copy(found[i].begin(), found[i].end(), pieces + first[i]);
  command.first = first;
  command.pieces = pieces;
  work_ += kWorkOfMap * floats;
  add(Command::Kind::gather, step_.gathers, command);
}

void CpuBinding::bind_row(const Node& node, const Positions& positions) {
  PositionCommand call = start(node, {0, graph_.values[node.out].channels}, positions);
  call.kind = PositionCommand::Kind::row;
  call.row_op = node.row_op;
  call.columns = node.sources[0].count;
  call.weight = node.weight >= 0 ? graph_.weights[node.weight].data : nullptr;
  call.bias = node.bias >= 0 ? graph_.weights[node.bias].data : nullptr;
  add_operand(call, 0, node.sources[0], positions);
  finish(call, positions);
}

void CpuBinding::bind_lookup(const Node& node, const Positions& positions) {
  PositionCommand call = start(node, {0, graph_.values[node.out].channels}, positions);
  call.kind = PositionCommand::Kind::lookup;
  const Weights& data = graph_.weights[node.data];
  call.table = {data.bytes, node.rows, data.type, node.scales >= 0 ? graph_.weights[node.scales].data : nullptr};
  add_operand(call, 0, node.sources[0], positions);
  finish(call, positions);
}

void CpuBinding::bind_attend(const Node& node, const Positions& positions) {
  AttendCommand command{};
  command.node = index_of(node);
  command.q = reads(node.sources[0], positions);
  command.out = places(node.out, 0, positions);
  int32_t* at = step_.pool.array<int32_t>(positions.size());
  std::copy(positions.begin(), positions.end(), at);
  command.positions = at;
  const Attention& attention = node.attention;
  AttendArgs& args = command.args;
  args.out_stride = plan_.stride[node.out];
  args.q_stride = arena_.stride(node.sources[0].value);
  args.q_step = node.sources[0].offset;
  args.k = arena_.keys(command.node, 1);
  args.k_stride = arena_.stride(node.sources[1].value);
  args.k_step = node.sources[1].offset;
  args.v = arena_.keys(command.node, 2);
  args.v_stride = arena_.stride(node.sources[2].value);
  args.v_step = node.sources[2].offset;
  args.heads = attention.heads;
  args.kv_heads = attention.kv_heads;
  args.dim = attention.dim;
  args.dim_v = attention.dim_v;
  args.scale = attention.scale;
  args.bias_step = graph_.values[node.out].positions * attention.keys;
  work_ += attention.heads * attention.keys * (attention.dim + attention.dim_v) * static_cast<int64_t>(positions.size());
  add(Command::Kind::attend, step_.attends, command);
}

}  // namespace genfast
