// Weights near the threads: a block keeps all of its program's in shared memory where they fit, else copies those of the next
// matrix product there while the current command runs. Called by run_program.h and the products; it decides where weights are read,
// never what they are.
#pragma once
#include "cuda/decode/program.h"

namespace genfast {
namespace cuda {

// Every thread of a block has its own, and all go the same way.
struct Stage {
  uint8_t* memory = nullptr;  // of the block; null: weights are read where they are
  int64_t bytes = 0;
  bool resident = false;       // all weights, each piece at its `resident`
  int32_t held[2] = {-1, -1};  // else the pieces in the two halves
  bool arriving = false;

  GENFAST_HD int64_t half() const { return bytes / 2 / 64 * 64; }
};

GENFAST_HD inline const uint8_t* weights_of(const Block& b, int32_t index) {
  const Piece& piece = b.program.pieces[index];
  const Stage* stage = b.stage;
  if (stage && stage->resident) return stage->memory + piece.resident;
  if (stage && stage->held[0] == index) return stage->memory;
  if (stage && stage->held[1] == index) return stage->memory + stage->half();
  return b.program.data + piece.weights;
}

// Before the first command.
template <class Executor>
GENFAST_HD void load_resident(Executor& exec, const Block& b) {
  Stage& stage = *b.stage;
  stage.resident = b.program.resident_bytes <= stage.bytes;
  if (!stage.resident) return;
  for (int32_t k = 0; k < b.program.n_pieces; ++k) {
    const Piece& piece = b.program.pieces[k];
    exec.copy(stage.memory + piece.resident, b.program.data + piece.weights, piece.bytes);
  }
  exec.wait_for_copies();
}

// What the product behind `command` reads, into the half that `command` does not.
template <class Executor>
GENFAST_HD void fetch_next(Executor& exec, const Block& b, const Command& command) {
  Stage& stage = *b.stage;
  if (stage.resident || command.next_gemm < 0) return;
  const int32_t index = b.program.gemms[command.next_gemm].piece;
  const Piece& piece = b.program.pieces[index];
  if (piece.bytes > stage.half() || stage.held[0] == index || stage.held[1] == index) return;
  const bool is_gemm = command.kind == Command::Kind::gemm;
  const int target = is_gemm && stage.held[0] == b.program.gemms[command.index].piece ? 1 : 0;
  stage.held[target] = index;
  stage.arriving = true;
  exec.copy(stage.memory + target * stage.half(), b.program.data + piece.weights, piece.bytes);
}

// Before a product reads what was fetched.
template <class Executor>
GENFAST_HD void wait_for_stage(Executor& exec, const Block& b) {
  if (!b.stage->arriving) return;
  b.stage->arriving = false;
  exec.wait_for_copies();
}

}  // namespace cuda
}  // namespace genfast
