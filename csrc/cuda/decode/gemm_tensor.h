// The matrix product of the fast mode: sixteen rows by up to sixty-four columns at a time, in bf16 with f32 sums, the k steps of a
// piece in their order whatever the tile; then bias and chain in f32 as everywhere. Called by run_program.h.
#pragma once
#include "cuda/decode/pointwise.h"
#include "cuda/decode/stage.h"
#include "cuda/tensor_tile.h"

namespace genfast {
namespace cuda {

template <int tiles, class Executor>
GENFAST_CALL void gemm_tiles(Executor& exec, const Block& b, const Command& command) {
  // What a k step reads is found by four loads that wait for each other: those of a few steps wait side by side, as many as there
  // are registers for.
  constexpr int together = tiles < 8 ? 4 : 2;
  const Program& program = b.program;
  const GemmCommand& gemm = program.gemms[command.index];
  const Piece& piece = program.pieces[gemm.piece];
  const auto* weights = reinterpret_cast<const uint16_t*>(weights_of(b, gemm.piece));
  const int64_t m_end = command.positions * b.rows, all_tiles = (piece.columns + kTileWidth - 1) / kTileWidth;
  const int64_t strips = (all_tiles + tiles - 1) / tiles;
  exec.each_warp((m_end + kTileRows - 1) / kTileRows * strips, [&](int64_t item) {
    const int64_t m = item / strips * kTileRows, tile = item % strips * tiles;
    using Tile = typename Executor::template Tile<tiles>;
    Tile product;
    int64_t position[Tile::kOwnRows], row[Tile::kOwnRows];
    bool exists[Tile::kOwnRows];
    for (int r = 0; r < Tile::kOwnRows; ++r) {
      const int64_t at = m + product.own_row(r);
      exists[r] = at < m_end;
      position[r] = exists[r] ? at / b.rows : 0;
      row[r] = exists[r] ? at % b.rows : 0;
    }
    for (int64_t k = 0; k < piece.n_steps; k += together) {
      const int64_t left = piece.n_steps - k;
      TensorStep steps[together];
      Segment segments[together];
      for (int j = 0; j < together; ++j) steps[j] = program.tensor_steps[piece.steps + k + (j < left ? j : 0)];
      for (int j = 0; j < together; ++j) segments[j] = program.segments[piece.segments + steps[j].segment];
      // No branch: a load behind one would wait for what the branch asks.
      const auto place = [&](int j, int r) {
        const int64_t places = gemm.sources + static_cast<int64_t>(steps[j].segment) * command.positions;
        const int32_t found = program.places[places + position[r]];
        return j < left && exists[r] ? found : -1;
      };
      const auto start = [&](int j, int r, int32_t found) -> const float* {
        const Segment& segment = segments[j];
        const int64_t at = found < 0 ? 0 : found;
        const float* from = segment.constant ? program.floats() + at : b.arena + at * b.capacity + row[r] * segment.stride;
        return found < 0 ? nullptr : from + segment.channel + steps[j].channel;
      };
      product.template steps<together>(
          place, start, [&](int j) { return steps[j].count; }, weights + (k * piece.padded_tiles + tile) * kTileWeights,
          piece.padded_tiles * kTileWeights);
    }
    product.each([&](int r, int64_t n, float value) {
      const int64_t column = tile * kTileWidth + n;
      if (exists[r] && column < piece.columns) finish_element(b, command, gemm, piece, position[r], row[r], column, value);
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
