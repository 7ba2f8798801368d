// The matrix product of the fast mode: sixteen rows by up to sixty-four columns at a time, in bf16 with f32 sums, the k steps of a
// piece in their order whatever the tile; then bias and chain in f32 as everywhere. Called by run_program.h.
#pragma once
#include "cuda/decode/pointwise.h"
#include "cuda/tensor_tile.h"

namespace genfast {
namespace cuda {

template <int tiles, class Executor>
GENFAST_CALL void gemm_tiles(Executor& exec, const Block& b, const Command& command) {
  const Program& program = b.program;
  const GemmCommand& gemm = program.gemms[command.index];
  const Piece& piece = program.pieces[gemm.piece];
  const int64_t m_end = command.positions * b.rows, all_tiles = (piece.columns + kTileWidth - 1) / kTileWidth;
  const int64_t strips = (all_tiles + tiles - 1) / tiles;
  exec.each_warp((m_end + kTileRows - 1) / kTileRows * strips, [&](int64_t item) {
    const int64_t m = item / strips * kTileRows, tile = item % strips * tiles;
    typename Executor::template Tile<tiles> product;
    for (int64_t k = 0; k < piece.n_steps; ++k) {
      const TensorStep step = program.tensor_steps[piece.steps + k];
      const Segment segment = program.segments[piece.segments + step.segment];
      const int32_t* places = program.places + gemm.sources + static_cast<int64_t>(step.segment) * command.positions;
      const auto row = [&](int64_t i) -> const float* {
        if (m + i >= m_end) return nullptr;
        const int64_t place = places[(m + i) / b.rows], channel = segment.channel + step.channel;
        if (place < 0) return nullptr;
        return segment.constant ? program.floats() + place + channel
                                : b.arena + place * b.capacity + (m + i) % b.rows * segment.stride + channel;
      };
      product.step(
          row, step.count,
          reinterpret_cast<const uint16_t*>(program.data + piece.weights) + (k * piece.padded_tiles + tile) * kTileWeights);
    }
    product.each([&](int64_t i, int64_t n, float value) {
      const int64_t column = tile * kTileWidth + n;
      if (m + i < m_end && column < piece.columns) finish_element(b, command, gemm, piece, m + i, column, value);
    });
  });
}

template <class Executor>
GENFAST_HD void gemm_tensor(Executor& exec, const Block& b, const Command& command) {
  const Piece& piece = b.program.pieces[b.program.gemms[command.index].piece];
  const int64_t tiles = (piece.columns + kTileWidth - 1) / kTileWidth, warps = exec.threads() / kWarp;
  const int64_t all = (command.positions * b.rows + kTileRows - 1) / kTileRows * tiles;
  // The widest tile that leaves no warp without one.
  if (tiles >= 8 && all >= 8 * warps) return gemm_tiles<8>(exec, b, command);
  if (tiles >= 4 && all >= 4 * warps) return gemm_tiles<4>(exec, b, command);
  if (tiles >= 2 && all >= 2 * warps) return gemm_tiles<2>(exec, b, command);
  return gemm_tiles<1>(exec, b, command);
}

}  // namespace cuda
}  // namespace genfast
