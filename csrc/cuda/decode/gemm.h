// The matrix product of a device program: a thread computes a few rows by four or eight columns, every element one fma chain a
// chunk, the chunks added left to right (base/gemm_packing.h), then scale, bias and the chain of operations that follows. Called by
// run_program.h. The tile, and whether chunks go to different threads, decide the speed and never the result.
#pragma once
#include "base/gemm_packing.h"
#include "base/weight_type.h"
#include "cuda/decode/gemm_tensor.h"
#include "cuda/decode/pointwise.h"
#include "cuda/decode/stage.h"

namespace genfast {
namespace cuda {

// Four weights, widened exactly.
GENFAST_INLINE void load_four(const float* w, float* to) {
#if defined(__CUDA_ARCH__)
  const float4 four = *reinterpret_cast<const float4*>(w);
  to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
#else
  for (int n = 0; n < 4; ++n) to[n] = w[n];
#endif
}
GENFAST_INLINE void load_four(const Bf16* w, float* to) {
#if defined(__CUDA_ARCH__)
  const uint2 four = *reinterpret_cast<const uint2*>(w);
  to[0] = numerics::from_bits(four.x << 16), to[1] = numerics::from_bits(four.x & 0xffff0000u);
  to[2] = numerics::from_bits(four.y << 16), to[3] = numerics::from_bits(four.y & 0xffff0000u);
#else
  for (int n = 0; n < 4; ++n) to[n] = w[n];
#endif
}
GENFAST_INLINE void load_four(const int8_t* w, float* to) {
#if defined(__CUDA_ARCH__)
  const char4 four = *reinterpret_cast<const char4*>(w);
  to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
#else
  for (int n = 0; n < 4; ++n) to[n] = w[n];
#endif
}

// The first packed weight of a column and the distance to the next row of weights.
template <class W>
struct Panel {
  const W* first;
  int64_t width;
  // weights: those of the piece.
  GENFAST_HD Panel(const uint8_t* weights, const Piece& piece, int64_t column) {
    const int64_t block = column / kGemmBlock * kGemmBlock, left = piece.columns - block;
    width = left < kGemmBlock ? (left + 15) / 16 * 16 : kGemmBlock;
    first = reinterpret_cast<const W*>(weights) + block * piece.k_rows + (column - block);
  }
};

// sum = the segments from s to the end of their chunk, for rows m, m + 1, … of the block's positions; returns where the next
// starts.
template <int rows, int columns, class W>
GENFAST_HD int32_t gemm_chunk(const Block& b, const Command& command, const GemmCommand& gemm, const Piece& piece, int32_t s,
                              int64_t m, int64_t end, const Panel<W>& panel, float (&sum)[rows][columns]) {
  const Program& program = b.program;
  int32_t position[rows], row[rows];
  for (int t = 0; t < rows; ++t) {
    const int64_t at = m + t < end ? m + t : end - 1;
    position[t] = static_cast<int32_t>(at / b.rows), row[t] = static_cast<int32_t>(at % b.rows);
    for (int n = 0; n < columns; ++n) sum[t][n] = 0.0f;
  }
  do {
    const Segment segment = program.segments[piece.segments + s];
    const int32_t* places = program.places + gemm.sources + static_cast<int64_t>(s) * command.positions;
    const float* source[rows];
    bool inside = false;
    for (int t = 0; t < rows; ++t) {
      const int64_t place = places[position[t]];
      inside = inside || place >= 0;
      source[t] = place < 0          ? program.floats() + program.zeros
                  : segment.constant ? program.floats() + place + segment.channel
                                     : b.arena + place * b.capacity + row[t] * segment.stride + segment.channel;
    }
    if (inside) {
      const W* w = panel.first + segment.weight_row * panel.width;
#if defined(__CUDA_ARCH__)
#pragma unroll 4
#endif
      for (int32_t k = 0; k < segment.count; ++k, w += panel.width) {
        float weight[columns];
        for (int n = 0; n < columns; n += 4) load_four(w + n, weight + n);
        for (int t = 0; t < rows; ++t) {
          const float x = source[t][k];
          for (int n = 0; n < columns; ++n) sum[t][n] = numerics::fma(x, weight[n], sum[t][n]);
        }
      }
    }
    ++s;
  } while (s < piece.n_segments && !program.segments[piece.segments + s].new_chunk);
  return s;
}

// Items are columns first, so that neighbouring threads read neighbouring weights.
template <int rows, int columns, class W, class Executor>
GENFAST_CALL void gemm_whole(Executor& exec, const Block& b, const Command& command) {
  const GemmCommand& gemm = b.program.gemms[command.index];
  const Piece& piece = b.program.pieces[gemm.piece];
  const uint8_t* weights = weights_of(b, gemm.piece);
  const int64_t m_end = command.positions * b.rows, strips = (piece.columns + columns - 1) / columns;
  exec.each((m_end + rows - 1) / rows * strips, [&](int64_t item) {
    const int64_t m = item / strips * rows, column = item % strips * columns;
    const Panel<W> panel(weights, piece, column);
    float sum[rows][columns], total[rows][columns];
    for (int t = 0; t < rows; ++t)
      for (int n = 0; n < columns; ++n) total[t][n] = 0.0f;
    for (int32_t s = 0; s < piece.n_segments;) {
      const bool first = s == 0;
      s = gemm_chunk<rows, columns, W>(b, command, gemm, piece, s, m, m_end, panel, sum);
      for (int t = 0; t < rows; ++t)
        for (int n = 0; n < columns; ++n) total[t][n] = first ? sum[t][n] : total[t][n] + sum[t][n];
    }
    for (int t = 0; t < rows && m + t < m_end; ++t) {
      const int64_t i = (m + t) / b.rows, r = (m + t) % b.rows;
      for (int n = 0; n < columns; ++n)
        if (column + n < piece.columns) finish_element(b, command, gemm, piece, i, r, column + n, total[t][n]);
    }
  });
}

// Few rows of long sums: a thread takes one chunk, and adding them up is a phase of its own. scratch: [m][chunk][column].
template <class W, class Executor>
GENFAST_CALL void gemm_by_chunks(Executor& exec, const Block& b, const Command& command) {
  const GemmCommand& gemm = b.program.gemms[command.index];
  const Piece& piece = b.program.pieces[gemm.piece];
  const uint8_t* weights = weights_of(b, gemm.piece);
  const int64_t strips = (piece.columns + 4 - 1) / 4, m_end = command.positions * b.rows;
  const int64_t width = strips * 4, together = b.scratch_floats / (piece.chunks * width);
  for (int64_t begin = 0; begin < m_end; begin += together) {
    const int64_t count = begin + together < m_end ? together : m_end - begin;
    exec.each(count * piece.chunks * strips, [&](int64_t item) {
      const int64_t column = item % strips * 4, chunk = item / strips % piece.chunks, m = item / strips / piece.chunks;
      int32_t s = 0;
      for (int64_t before = chunk; before > 0; before -= b.program.segments[piece.segments + s].new_chunk) ++s;
      const Panel<W> panel(weights, piece, column);
      float sum[1][4];
      gemm_chunk<1, 4, W>(b, command, gemm, piece, s, begin + m, m_end, panel, sum);
      for (int n = 0; n < 4; ++n) b.scratch[(m * piece.chunks + chunk) * width + column + n] = sum[0][n];
    });
    exec.each(count * piece.columns, [&](int64_t item) {
      const int64_t column = item % piece.columns, m = item / piece.columns;
      const float* from = b.scratch + m * piece.chunks * width + column;
      float total = from[0];
      for (int64_t chunk = 1; chunk < piece.chunks; ++chunk) total = total + from[chunk * width];
      finish_element(b, command, gemm, piece, (begin + m) / b.rows, (begin + m) % b.rows, column, total);
    });
  }
}

template <class W, class Executor>
GENFAST_HD void gemm_of(Executor& exec, const Block& b, const Command& command) {
  const Piece& piece = b.program.pieces[b.program.gemms[command.index].piece];
  const int64_t m = command.positions * b.rows, strips = (piece.columns + 3) / 4, threads = exec.threads();
  if (2 * m * strips <= threads && piece.chunks > 1 && b.scratch_floats >= piece.chunks * strips * 4)
    return gemm_by_chunks<W>(exec, b, command);
  // The largest tile that leaves no thread without one.
  if (m >= 4 && m * strips >= 8 * threads) return gemm_whole<4, 8, W>(exec, b, command);
  if (m >= 4 && m * strips >= 4 * threads) return gemm_whole<4, 4, W>(exec, b, command);
  if (m >= 2 && m * strips >= 2 * threads) return gemm_whole<2, 4, W>(exec, b, command);
  return gemm_whole<1, 4, W>(exec, b, command);
}

template <class Executor>
GENFAST_HD void run_gemm(Executor& exec, const Block& b, const Command& command) {
  const Piece& piece = b.program.pieces[b.program.gemms[command.index].piece];
  if (piece.n_steps > 0) return gemm_tensor(exec, b, command);
  switch (static_cast<WeightType>(piece.type)) {
    case WeightType::bf16:
      return gemm_of<Bf16>(exec, b, command);
    case WeightType::i8:
      return gemm_of<int8_t>(exec, b, command);
    default:
      return gemm_of<float>(exec, b, command);
  }
}

}  // namespace cuda
}  // namespace genfast
