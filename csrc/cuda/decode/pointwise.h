// Operations on single elements: the chain that follows a gemm or makes up a map, and copies. Called by run_program.h.
#pragma once
#include "cuda/decode/program.h"
#include "numerics/map_ops.h"

namespace genfast {
namespace cuda {

GENFAST_INLINE float apply_map(int32_t op, float a, float b, float c, const float* params) {
  switch (static_cast<MapOp>(op)) {
#define X(name, operands, parameters) \
  case MapOp::name:                   \
    return numerics::Map_##name::apply(a, b, c, params);
    GENFAST_MAP_OPS(X)
#undef X
    default:
      return a;
  }
}

// The operations of a command's chain on element (i, r, c), the first of which may find its operand in `value`.
GENFAST_CALL void run_chain(const Block& b, const Command& command, int64_t i, int64_t r, int64_t c, float value) {
  for (int32_t k = command.chain; k < command.chain + command.n_chain; ++k) {
    const Pointwise& op = b.program.chain[k];
    float in[3];
    for (int j = 0; j < 3; ++j) {
      const Pointwise::Operand& operand = op.in[j < op.operands ? j : 0];
      in[j] = operand.previous ? value : b.read(operand.at, i, r)[operand.broadcast ? 0 : c];
    }
    value = numerics::canonical(apply_map(op.op, in[0], in[1], in[2], b.program.floats() + op.params));
    b.write(op.out, i, r)[c] = value;
  }
}

// What becomes of element (i, r, column) of a product.
GENFAST_HD inline void finish_element(const Block& b, const Command& command, const GemmCommand& gemm, const Piece& piece,
                                      int64_t i, int64_t r, int64_t column, float value) {
  const float* data = b.program.floats();
  if (piece.scales >= 0) value = value * data[piece.scales + column];
  value = value + (piece.bias >= 0 ? data[piece.bias + column] : 0.0f);
  b.write(gemm.out, i, r)[column] = value;
  run_chain(b, command, i, r, column, value);
}

template <class Executor>
GENFAST_HD void run_map(Executor& exec, const Block& b, const Command& command) {
  const int64_t columns = command.columns;
  exec.each(command.positions * b.rows * columns, [&](int64_t item) {
    const int64_t m = item / columns;
    run_chain(b, command, m / b.rows, m % b.rows, item % columns, 0.0f);
  });
}

// Later blocks win where several reach a channel.
template <class Executor>
GENFAST_HD void run_copy(Executor& exec, const Block& b, const Command& command) {
  const CopyCommand& copy = b.program.copies[command.index];
  const int64_t columns = command.columns;
  exec.each(command.positions * b.rows * columns, [&](int64_t item) {
    const int64_t m = item / columns, i = m / b.rows, r = m % b.rows, c = item % columns;
    float value = copy.fill;
    for (int32_t k = copy.blocks; k < copy.blocks + copy.n_blocks; ++k) {
      const CopyBlock& block = b.program.blocks[k];
      const int64_t channel = copy.begin + c;
      if (channel < block.begin || channel >= block.end || b.outside(block.in, i)) continue;
      value = b.read(block.in, i, r)[channel - block.begin];
    }
    b.write(copy.out, i, r)[c] = numerics::canonical(value);
  });
}

}  // namespace cuda
}  // namespace genfast
