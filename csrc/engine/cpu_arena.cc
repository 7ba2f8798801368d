#include "engine/cpu_arena.h"

#include <algorithm>

namespace genfast {

CpuArena::CpuArena(const Graph& graph, const Plan& plan, int64_t capacity)
    : graph_(graph), plan_(plan), capacity_(capacity), constants_(graph.values.size(), nullptr) {
  arena_ = AlignedBuffer<float>(static_cast<size_t>(plan.floats_per_row * capacity + 16));
  int64_t widest = 1;
  for (const Node& node : graph.nodes) {
    if (node.kind == NodeKind::constant) constants_[node.out] = graph.weights[node.data].data;
    if (node.kind != NodeKind::gemm) continue;
    for (const Source& source : node.sources) widest = std::max(widest, plan.stride[source.value]);
  }
  zeros_ = AlignedBuffer<float>(static_cast<size_t>(widest * capacity + 16));
  for (auto& keys : keys_) keys.resize(graph.nodes.size());
}

float* CpuArena::place(int value, int64_t p) {
  const int32_t offset = plan_.offset[value][p];
  return offset < 0 ? nullptr : arena_.data() + static_cast<int64_t>(offset) * capacity_;
}

const float* CpuArena::read(const Source& source, int64_t p) {
  const int64_t q = source_position(graph_, source, p);
  if (q < 0) return nullptr;
  if (constants_[source.value]) return constants_[source.value] + q * graph_.values[source.value].channels + source.channel;
  const float* at = place(source.value, q);
  return at ? at + source.channel : nullptr;
}

const float* const* CpuArena::keys(int node, int source) {
  std::vector<const float*>& keys = keys_[source - 1][node];
  if (keys.empty()) {
    const Node& attend = graph_.nodes[node];
    for (int64_t j = 0; j < attend.attention.keys; ++j) keys.push_back(read(attend.sources[source], j));
  }
  return keys.data();
}

}  // namespace genfast
