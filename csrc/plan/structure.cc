#include "plan/structure.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace genfast {
namespace {

using Signature = std::vector<Dep>;

bool operator<(const Dep& a, const Dep& b) { return std::tie(a.value, a.cls, a.table) < std::tie(b.value, b.cls, b.table); }
bool same(const Dep& a, const Dep& b) { return a.value == b.value && a.cls == b.cls && a.table == b.table; }

void normalise(Signature& deps) {
  std::sort(deps.begin(), deps.end(), [](const Dep& a, const Dep& b) { return a < b; });
  deps.erase(std::unique(deps.begin(), deps.end(), same), deps.end());
}

struct Less {
  bool operator()(const Signature& a, const Signature& b) const {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](const Dep& x, const Dep& y) { return x < y; });
  }
};

// Channels with the same signature form a class; classes are numbered by their first channel.
std::vector<NodeClass> group_channels(std::vector<Signature>& signatures, std::vector<int32_t>& channel_class) {
  std::vector<NodeClass> classes;
  std::map<Signature, int32_t, Less> known;
  channel_class.resize(signatures.size());
  for (int64_t c = 0; c < static_cast<int64_t>(signatures.size()); ++c) {
    normalise(signatures[c]);
    auto [it, fresh] = known.emplace(signatures[c], static_cast<int32_t>(classes.size()));
    if (fresh) classes.push_back({{}, signatures[c]});
    channel_class[c] = it->second;
    auto& ranges = classes[it->second].channels;
    if (!ranges.empty() && ranges.back().end == c) {
      ++ranges.back().end;
    } else {
      ranges.push_back({c, c + 1});
    }
  }
  if (classes.size() == 1) channel_class.clear();
  return classes;
}

// The classes that channels [begin, begin + count) of a value belong to.
std::vector<int> classes_in(const Structure& s, int value, int64_t begin, int64_t count) {
  if (s.classes(value) == 1) return {0};
  std::vector<int> found(s.channel_class[value].begin() + begin, s.channel_class[value].begin() + begin + count);
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::vector<NodeClass> one_class(const Graph& graph, const Structure& s, const Node& node) {
  NodeClass all{{{0, graph.values[node.out].channels}}, {}};
  for (const Source& source : node.sources)
    for (int cls : classes_in(s, source.value, source.channel, source.count)) all.deps.push_back({source.value, cls, source.table});
  normalise(all.deps);
  return {all};
}

bool single_class_sources(const Structure& s, const Node& node) {
  return std::all_of(node.sources.begin(), node.sources.end(), [&](const Source& source) { return s.classes(source.value) == 1; });
}

std::vector<NodeClass> map_classes(const Graph& graph, const Structure& s, const Node& node, std::vector<int32_t>& channel_class) {
  if (single_class_sources(s, node)) return one_class(graph, s, node);
  std::vector<Signature> signatures(graph.values[node.out].channels);
  for (int64_t c = 0; c < static_cast<int64_t>(signatures.size()); ++c)
    for (const Source& source : node.sources)
      signatures[c].push_back({source.value, s.class_of(source.value, source.channel + (source.broadcast ? 0 : c)), source.table});
  return group_channels(signatures, channel_class);
}

std::vector<NodeClass> copy_classes(const Graph& graph, const Structure& s, const Node& node, std::vector<int32_t>& channel_class) {
  std::vector<Signature> signatures(graph.values[node.out].channels);
  for (const Source& block : node.sources)
    for (int64_t j = 0; j < block.count; ++j)
      signatures[block.offset + j].push_back({block.value, s.class_of(block.value, block.channel + j), block.table});
  return group_channels(signatures, channel_class);
}

std::vector<NodeClass> gemm_classes(const Graph& graph, const Structure& s, const Node& node, std::vector<int32_t>& channel_class) {
  const int64_t columns = graph.values[node.out].channels;
  int64_t k_rows = 0;
  for (const Source& segment : node.sources) k_rows += segment.count;
  const Weights& weights = graph.weights[node.data];

  std::vector<Dep> reads;                     // each (segment, source class)
  std::vector<std::vector<uint8_t>> nonzero;  // [read][column]
  int64_t row = 0;
  for (const Source& segment : node.sources) {
    std::map<int, size_t> read_of_class;
    for (int64_t j = 0; j < segment.count; ++j, ++row) {
      const int cls = s.class_of(segment.value, segment.channel + j);
      auto [it, fresh] = read_of_class.emplace(cls, reads.size());
      if (fresh) {
        reads.push_back({segment.value, cls, segment.table});
        nonzero.emplace_back(columns, 0);
      }
      uint8_t* flags = nonzero[it->second].data();
      for (int64_t block = 0; block < columns; block += 64) {
        const int64_t used = std::min<int64_t>(64, columns - block), width = (used + 15) / 16 * 16;
        visit_weights(weights.bytes, weights.type, [&](const auto* data) {
          const auto* w = data + block * k_rows + row * width;
          for (int64_t n = 0; n < used; ++n) flags[block + n] |= w[n] != 0.0f;
        });
      }
    }
  }
  const bool dense = std::all_of(nonzero.begin(), nonzero.end(), [](const std::vector<uint8_t>& flags) {
    return std::all_of(flags.begin(), flags.end(), [](uint8_t f) { return f; });
  });
  if (dense) {
    NodeClass all{{{0, columns}}, reads};
    normalise(all.deps);
    return {all};
  }
  std::vector<Signature> signatures(columns);
  for (size_t r = 0; r < reads.size(); ++r)
    for (int64_t n = 0; n < columns; ++n)
      if (nonzero[r][n]) signatures[n].push_back(reads[r]);
  return group_channels(signatures, channel_class);
}

}  // namespace

Structure analyse(const Graph& graph) {
  Structure s;
  const int values = static_cast<int>(graph.values.size());
  s.nodes.resize(graph.nodes.size());
  s.channel_class.resize(values);
  // Classes are numbered as their producers are met; until then a value counts as having one.
  s.first_row.assign(values + 1, 0);
  for (int v = 0; v <= values; ++v) s.first_row[v] = v;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    std::vector<int32_t>& channel_class = s.channel_class[node.out];
    switch (node.kind) {
      case NodeKind::constant:
      case NodeKind::lookup:
      case NodeKind::row:
        s.nodes[i] = one_class(graph, s, node);
        break;
      case NodeKind::map:
        s.nodes[i] = map_classes(graph, s, node, channel_class);
        break;
      case NodeKind::copy:
        s.nodes[i] = copy_classes(graph, s, node, channel_class);
        break;
      case NodeKind::gemm:
        s.nodes[i] = gemm_classes(graph, s, node, channel_class);
        break;
    }
    const int extra = static_cast<int>(s.nodes[i].size()) - 1;
    if (extra > 0)
      for (int v = node.out + 1; v <= values; ++v) s.first_row[v] += extra;
  }
  return s;
}

std::vector<Dep> head_deps(const Graph& graph, const Structure& structure) {
  const Source source = head_source(graph);
  std::vector<Dep> deps;
  for (int cls : classes_in(structure, source.value, source.channel, source.count))
    deps.push_back({source.value, cls, source.table});
  return deps;
}

}  // namespace genfast
