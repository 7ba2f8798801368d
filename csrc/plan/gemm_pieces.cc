#include "plan/gemm_pieces.h"

#include <algorithm>

namespace genfast {
namespace {

// Where a packed matrix keeps its elements.
struct Packing {
  int64_t k_rows, columns;

  int64_t at(int64_t row, int64_t column) const {
    const int64_t block = column / kGemmBlock * kGemmBlock, width = round_up(std::min(kGemmBlock, columns - block), 16);
    return block * k_rows + row * width + (column - block);
  }
};

int64_t packed_columns(int64_t columns) { return columns / kGemmBlock * kGemmBlock + round_up(columns % kGemmBlock, 16); }

// Appends channel j of a segment, extending the last run unless a chunk boundary or a gap lies between.
void append(std::vector<PieceSegment>& segments, const Source& source, int64_t j, int64_t row, int64_t& chunk, bool continues) {
  const int64_t this_chunk = (source.offset + j) / kGemmChunk;
  const bool boundary = chunk >= 0 && this_chunk != chunk;
  chunk = this_chunk;
  if (continues && !boundary) {
    ++segments.back().run.count;
    return;
  }
  segments.push_back({source.value, source.table, source.channel + j, {1, row, boundary}});
}

// The segments of what columns of a node read, with the rows of its weights they use. What has no weight is left out: it may not
// be there yet, since the plan does not wait for it.
template <class W>
std::vector<int64_t> used_rows(const Node& node, const Packing& packing, ChannelRange range, const W* weights, bool renumber,
                               std::vector<PieceSegment>& segments) {
  std::vector<int64_t> rows;
  int64_t row = 0, chunk = -1;
  for (const Source& source : node.sources) {
    bool previous = false;
    for (int64_t j = 0; j < source.count; ++j, ++row) {
      bool used = false;
      for (int64_t n = range.begin; n < range.end && !used; ++n) used = weights[packing.at(row, n)] != 0.0f;
      if (used) {
        append(segments, source, j, renumber ? static_cast<int64_t>(rows.size()) : row, chunk, previous);
        rows.push_back(row);
      }
      previous = used;
    }
  }
  return rows;
}

template <class W>
std::unique_ptr<GemmPiece> whole_node(const Graph& graph, const Node& node, int64_t k_rows, const W* weights) {
  auto piece = std::make_unique<GemmPiece>();
  piece->columns = graph.values[node.out].channels;
  piece->k_rows = k_rows;
  piece->weights = weights;
  piece->type = graph.weights[node.data].type;
  piece->bias = node.bias >= 0 ? graph.weights[node.bias].data : nullptr;
  piece->scales = node.scales >= 0 ? graph.weights[node.scales].data : nullptr;
  used_rows(node, {k_rows, piece->columns}, {0, piece->columns}, weights, false, piece->segments);
  return piece;
}

// Makes room, zeroed, for a piece's own weights, bias and scales, and fills the last two.
void copy_columns(const Graph& graph, const Node& node, ChannelRange range, GemmPiece& piece) {
  const int64_t padded = packed_columns(piece.columns);
  const int64_t data = round_up(piece.k_rows * padded * info(piece.type).bytes, 64), line = padded * 4;
  piece.copy = AlignedBuffer<uint8_t>(static_cast<size_t>(data + 2 * line));
  piece.weights = piece.copy.data();
  auto of = [&](int index, int64_t offset) -> const float* {
    if (index < 0) return nullptr;
    float* to = reinterpret_cast<float*>(piece.copy.data() + offset);
    std::copy_n(graph.weights[index].data + range.begin, piece.columns, to);
    return to;
  };
  piece.bias = of(node.bias, data);
  piece.scales = of(node.scales, data + line);
}

template <class W>
std::unique_ptr<GemmPiece> some_columns(const Graph& graph, const Node& node, int64_t k_rows, ChannelRange range,
                                        const W* weights) {
  const Packing from{k_rows, graph.values[node.out].channels};
  auto piece = std::make_unique<GemmPiece>();
  piece->column = range.begin;
  piece->columns = range.end - range.begin;
  piece->type = graph.weights[node.data].type;
  const std::vector<int64_t> rows = used_rows(node, from, range, weights, true, piece->segments);
  piece->k_rows = static_cast<int64_t>(rows.size());
  copy_columns(graph, node, range, *piece);
  const Packing to{piece->k_rows, piece->columns};
  W* copy = reinterpret_cast<W*>(piece->copy.data());
  for (int64_t k = 0; k < piece->k_rows; ++k)
    for (int64_t n = 0; n < piece->columns; ++n) copy[to.at(k, n)] = weights[from.at(rows[k], range.begin + n)];
  return piece;
}

}  // namespace

std::vector<std::unique_ptr<GemmPiece>> gemm_pieces(const Graph& graph, const Node& node, const PlanClass& cls) {
  int64_t k_rows = 0;
  for (const Source& source : node.sources) k_rows += source.count;
  std::vector<std::unique_ptr<GemmPiece>> pieces;
  const bool whole =
      cls.channels.size() == 1 && cls.channels[0].begin == 0 && cls.channels[0].end == graph.values[node.out].channels;
  const Weights& data = graph.weights[node.data];
  visit_weights(data.bytes, data.type, [&](const auto* weights) {
    if (whole) {
      pieces.push_back(whole_node(graph, node, k_rows, weights));
    } else {
      for (const ChannelRange& range : cls.channels) pieces.push_back(some_columns(graph, node, k_rows, range, weights));
    }
  });
  return pieces;
}

}  // namespace genfast
