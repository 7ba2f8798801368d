// Machine: a device as the decoder sees it, memory and launches. The GPU's is cuda_machine.cu; emulated_machine.cc is the host,
// which runs the same step code without one. Called by decoder.cc and device_call.cc; it knows no Graph and no caller's arrays.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "cuda/decode/compile_program.h"
#include "cuda/decode/program.h"
#include "cuda/executor.h"

namespace genfast {
namespace cuda {

// How a tile's rows are dealt out.
struct Shape {
  int64_t block_rows = 1;      // that a block decodes together
  int64_t scratch_floats = 0;  // of a block; a multiple of 4
  int64_t shared_bytes = 0;    // of a block, for weights
  bool cooperative = false;    // one block of rows, and the whole grid works on it
};

struct Launch {
  Program program;
  TileArrays tile;
  Work work;
  Shape shape;
  int64_t rows;    // of the tile, at most what the arena was made for
  float* arena;    // of block k from k * block_rows * floats_per_row on
  float* scratch;  // of block k from k * scratch_floats on
  int64_t floats_per_row;
  uint64_t* failure;

  int64_t blocks() const { return (rows + shape.block_rows - 1) / shape.block_rows; }
};

GENFAST_HD inline Block block_of(const Launch& launch, int64_t k, Stage* stage) {
  const int64_t first = k * launch.shape.block_rows, left = launch.rows - first;
  return {launch.program,
          launch.tile,
          launch.arena + first * launch.floats_per_row,
          launch.shape.block_rows,
          first,
          left < launch.shape.block_rows ? left : launch.shape.block_rows,
          launch.scratch + k * launch.shape.scratch_floats,
          launch.shape.scratch_floats,
          launch.failure,
          stage};
}

// Work is done in the order in which it was asked for; only download waits for it.
class Queue {
 public:
  virtual ~Queue() = default;
  // What is uploaded must stay as it is until a download: a GPU that reads the host's pages itself copies nothing aside.
  virtual void upload(void* to, const void* from, size_t bytes) = 0;
  virtual void download(void* to, const void* from, size_t bytes) = 0;
  virtual void launch(const Launch& launch) = 0;
};

class Machine {
 public:
  virtual ~Machine() = default;
  // Throws DeviceError, saying what for, how much and what to do.
  virtual void* allocate(size_t bytes, const char* what) = 0;
  virtual void release(void* memory) = 0;
  virtual std::unique_ptr<Queue> queue() = 0;
  // On a stream of the caller's; waits for nothing, and allocates nothing.
  virtual void launch(const Launch& launch, void* stream) const = 0;
  // CUDA's index, or -1 of the host.
  virtual int device() const = 0;
  // For a tile of `rows`.
  virtual Shape shape(const ProgramArrays& program, int64_t rows) const = 0;
  // The most rows that one tile may have.
  virtual int64_t most_rows(const ProgramArrays& program) const = 0;
  // The most of a call that is in a caller's memory: the same at any time, since graphs are captured with it.
  virtual int64_t call_rows(const ProgramArrays& program) const = 0;
};

// How often calls waited for a machine of the host, or would have on a device: for tests.
int64_t emulated_waits();

// order, threads, block_rows and shared_bytes: executor.h, Shape; 0 rows a block: all.
std::unique_ptr<Machine> make_emulated_machine(HostExecutor::Order order, int64_t threads, int64_t block_rows,
                                               int64_t shared_bytes);

}  // namespace cuda
}  // namespace genfast
