#include "engine/cpu_binding.h"

#include <algorithm>

namespace genfast {

CpuBinding::CpuBinding(const CpuPlan& cpu_plan, int64_t capacity)
    : cpu_plan_(cpu_plan), graph_(*cpu_plan.graph), plan_(*cpu_plan.plan), capacity_(capacity) {
  arena_ = AlignedBuffer<float>(static_cast<size_t>(plan_.floats_per_row * capacity + 16));
  const int64_t widest = plan_.stride.empty() ? 1 : *std::max_element(plan_.stride.begin(), plan_.stride.end());
  zeros_ = AlignedBuffer<float>(static_cast<size_t>(widest * capacity + 16));
  constants_.resize(graph_.values.size(), nullptr);
  for (const Node& node : graph_.nodes)
    if (node.kind == NodeKind::constant) constants_[node.out] = graph_.weights[node.data].data;

  readers_.resize(graph_.values.size(), 0);
  for (const Node& node : graph_.nodes)
    for (const Source& source : node.sources) ++readers_[source.value];
  ++readers_[graph_.head.value];

  steps.resize(plan_.steps.size());
  for (size_t t = 0; t < plan_.steps.size(); ++t) {
    for (const Group& group : plan_.steps[t].groups) {
      CommandGroup commands;
      commands.positions = static_cast<int64_t>(group.positions.size());
      bind_group(group, commands);
      steps[t].groups.push_back(std::move(commands));
    }
    Source logits;
    logits.value = graph_.head.value;
    logits.table = graph_.head.table;
    logits.channel = graph_.head.channel;
    for (int32_t site : plan_.steps[t].sites) steps[t].sites.push_back({site, read(logits, site), place(0, site)});
  }
}

float* CpuBinding::place(int value, int64_t p) const {
  const int32_t offset = plan_.offset[value][p];
  return offset < 0 ? nullptr : const_cast<float*>(arena_.data()) + static_cast<int64_t>(offset) * capacity_;
}

const float* CpuBinding::read(const Source& source, int64_t p) const {
  const int64_t q = source_position(graph_, source, p);
  if (q < 0) return nullptr;
  if (constants_[source.value]) return constants_[source.value] + q * graph_.values[source.value].channels + source.channel;
  return place(source.value, q) + source.channel;
}

int64_t CpuBinding::read_stride(int value) const { return constants_[value] ? 0 : plan_.stride[value]; }

void CpuBinding::bind(const Task& task, const std::vector<int32_t>& positions, CommandGroup& group) {
  const Node& node = graph_.nodes[task.node];
  const PlanClass& cls = plan_.classes[task.node][task.cls];
  switch (node.kind) {
    case NodeKind::constant:
      break;
    case NodeKind::gemm:
      break;  // bind_group
    case NodeKind::map:
      for (const ChannelRange& range : cls.channels) bind_map(node, range, positions, group);
      break;
    case NodeKind::copy:
      for (const ChannelRange& range : cls.channels) bind_copy(node, range, positions, group);
      break;
    case NodeKind::row:
      bind_row(node, positions, group);
      break;
    case NodeKind::lookup:
      bind_lookup(node, positions, group);
      break;
  }
}

void CpuBinding::bind_group(const Group& group, CommandGroup& commands) {
  for (size_t k = 0; k < group.tasks.size(); ++k) {
    const Task& task = group.tasks[k];
    if (graph_.nodes[task.node].kind != NodeKind::gemm) {
      bind(task, group.positions, commands);
      continue;
    }
    const Epilogue epilogue = find_epilogue(group, k);
    for (const auto& piece : cpu_plan_.pieces[task.node][task.cls]) bind_gemm(*piece, epilogue, group.positions, commands);
    k += epilogue.tasks;
  }
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
  return found;
}

void CpuBinding::bind_gemm(const GemmPiece& piece, const Epilogue& epilogue, const std::vector<int32_t>& positions,
                           CommandGroup& group) {
  std::vector<const float*>& sources = in_pointers_.emplace_back();
  std::vector<GemmSegment>& segments = segments_.emplace_back();
  std::vector<int64_t>& strides = strides_.emplace_back();
  bool boundary = false;  // of a segment that is left out because it lies outside at every position
  for (const PieceSegment& segment : piece.segments) {
    Source source;
    source.value = segment.value;
    source.table = segment.table;
    source.channel = segment.channel;
    const size_t first = sources.size();
    bool used = false;
    for (int32_t p : positions) {
      const float* from = read(source, p);
      used = used || from;
      sources.push_back(from ? from : zeros_.data());
    }
    boundary = boundary || segment.run.new_chunk;
    if (!used) {
      sources.resize(first);
      continue;
    }
    segments.push_back(segment.run);
    segments.back().new_chunk = boundary;
    boundary = false;
    strides.push_back(read_stride(segment.value));
  }
  std::vector<float*>& out = out_pointers_.emplace_back();
  for (int32_t p : positions) out.push_back(place(epilogue.out, p) + piece.column);

  GemmCommand command{};
  GemmArgs& args = command.args;
  args.segments = segments.data();
  args.n_segments = static_cast<int64_t>(segments.size());
  args.sources = sources.data();
  args.source_stride = strides.data();
  args.out = out.data();
  args.out_stride = plan_.stride[epilogue.out];
  args.groups = static_cast<int64_t>(positions.size());
  args.weights = piece.weights;
  args.weight_type = piece.type;
  args.scales = piece.scales;
  args.k_rows = piece.k_rows;
  args.columns = piece.columns;
  args.bias = piece.bias;
  args.relu = epilogue.relu;
  if (epilogue.residual) {
    std::vector<const float*>& residual = in_pointers_.emplace_back();
    for (int32_t p : positions) residual.push_back(read(*epilogue.residual, p) + piece.column);
    args.residual = residual.data();
    args.residual_stride = read_stride(epilogue.residual->value);
  }
  group.commands.push_back({true, static_cast<int32_t>(gemms.size())});
  gemms.push_back(command);
}

PositionCommand CpuBinding::start(const Node& node, ChannelRange range, const std::vector<int32_t>& positions) {
  PositionCommand call;
  call.node = static_cast<int>(&node - graph_.nodes.data());
  call.out_stride = plan_.stride[node.out];
  call.columns = range.end - range.begin;
  call.params = node.params.data();
  std::vector<float*>& out = out_pointers_.emplace_back();
  for (int32_t p : positions) out.push_back(place(node.out, p) + range.begin);
  call.out = out.data();
  return call;
}

void CpuBinding::add_operand(PositionCommand& call, int k, const Source& source, const std::vector<int32_t>& positions) {
  std::vector<const float*>& in = in_pointers_.emplace_back();
  for (int32_t p : positions) in.push_back(read(source, p));
  call.in[k] = in.data();
  call.operand_stride[k] = read_stride(source.value);
  call.operand_broadcast[k] = source.broadcast;
}

// Neighbouring positions whose pointers all advance by one full tile are one longer run of rows.
void CpuBinding::finish(PositionCommand& call, const std::vector<int32_t>& positions, CommandGroup& group) {
  std::vector<int32_t>& run = runs_.emplace_back(positions.size(), 1);
  for (size_t i = positions.size(); i-- > 0;) {
    if (i + 1 == positions.size() || !call.out[i] || !call.out[i + 1]) continue;
    bool joined = call.out[i + 1] - call.out[i] == call.out_stride * capacity_;
    for (int k = 0; k < call.operands; ++k)
      joined = joined && call.in[k][i + 1] - call.in[k][i] == call.operand_stride[k] * capacity_;
    if (joined) run[i] = run[i + 1] + 1;
  }
  call.run = run.data();
  group.commands.push_back({false, static_cast<int32_t>(calls.size())});
  calls.push_back(call);
}

void CpuBinding::bind_map(const Node& node, ChannelRange range, const std::vector<int32_t>& positions, CommandGroup& group) {
  PositionCommand call = start(node, range, positions);
  call.map_op = node.map_op;
  call.operands = static_cast<uint8_t>(node.sources.size());
  for (size_t k = 0; k < node.sources.size(); ++k) {
    Source source = node.sources[k];
    if (!source.broadcast) source.channel += range.begin;
    add_operand(call, static_cast<int>(k), source, positions);
  }
  finish(call, positions, group);
}

void CpuBinding::bind_copy(const Node& node, ChannelRange range, const std::vector<int32_t>& positions, CommandGroup& group) {
  PositionCommand fill = start(node, range, positions);
  std::vector<const float*>& in = in_pointers_.emplace_back(positions.size(), node.params.data());
  fill.in[0] = in.data();
  fill.operand_broadcast[0] = true;
  finish(fill, positions, group);
  for (const Source& block : node.sources) {
    const ChannelRange part{std::max(range.begin, block.offset), std::min(range.end, block.offset + block.count)};
    if (part.begin >= part.end) continue;
    PositionCommand call = start(node, part, positions);
    Source source = block;
    source.channel += part.begin - block.offset;
    add_operand(call, 0, source, positions);
    for (size_t i = 0; i < positions.size(); ++i)
      if (!call.in[0][i]) out_pointers_.back()[i] = nullptr;
    finish(call, positions, group);
  }
}

void CpuBinding::bind_row(const Node& node, const std::vector<int32_t>& positions, CommandGroup& group) {
  PositionCommand call = start(node, {0, graph_.values[node.out].channels}, positions);
  call.kind = PositionCommand::Kind::row;
  call.row_op = node.row_op;
  call.columns = node.sources[0].count;
  call.weight = node.weight >= 0 ? graph_.weights[node.weight].data : nullptr;
  call.bias = node.bias >= 0 ? graph_.weights[node.bias].data : nullptr;
  add_operand(call, 0, node.sources[0], positions);
  finish(call, positions, group);
}

void CpuBinding::bind_lookup(const Node& node, const std::vector<int32_t>& positions, CommandGroup& group) {
  PositionCommand call = start(node, {0, graph_.values[node.out].channels}, positions);
  call.kind = PositionCommand::Kind::lookup;
  const Weights& data = graph_.weights[node.data];
  call.table = {data.bytes, node.rows, data.type, node.scales >= 0 ? graph_.weights[node.scales].data : nullptr};
  add_operand(call, 0, node.sources[0], positions);
  finish(call, positions, group);
}

}  // namespace genfast
