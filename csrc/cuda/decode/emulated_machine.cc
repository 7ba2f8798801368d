#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "base/aligned.h"
#include "base/errors.h"
#include "cuda/decode/machine.h"
#include "cuda/decode/run_program.h"
#include "cuda/on_host.h"

namespace genfast {
namespace cuda {
namespace {

void interpret(const Launch& launch, HostExecutor::Order order, int64_t threads) {
  for (int64_t k = 0; k < launch.blocks(); ++k) {
    AlignedBuffer<uint8_t> shared(static_cast<size_t>(launch.shape.shared_bytes));
    // The host would read doubles from anywhere.
    if (reinterpret_cast<uintptr_t>(launch.scratch + k * launch.shape.scratch_floats) % 16 != 0)
      throw DeviceError("the scratch of block " + std::to_string(k) + " is not aligned to 16 bytes");
    on_host(order, threads, [&](auto& exec) {
      Stage stage;
      stage.memory = shared.data();
      stage.bytes = launch.shape.shared_bytes;
      run_work(exec, block_of(launch, k, stage.memory ? &stage : nullptr), launch.work);
    });
  }
}

std::atomic<int64_t> waits{0};

class EmulatedQueue : public Queue {
 public:
  EmulatedQueue(HostExecutor::Order order, int64_t threads) : order_(order), threads_(threads) {}

  void upload(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) override {
    ++waits;
    std::memcpy(to, from, bytes);
  }
  void launch(const Launch& launch) override { interpret(launch, order_, threads_); }

 private:
  HostExecutor::Order order_;
  int64_t threads_;
};

class EmulatedMachine : public Machine {
 public:
  EmulatedMachine(HostExecutor::Order order, int64_t threads, int64_t block_rows, int64_t shared_bytes)
      : order_(order), threads_(threads), block_rows_(block_rows), shared_bytes_(shared_bytes) {}

  // Garbage at first, as on a device; of exactly that size, so that AddressSanitizer sees what reads past it.
  void* allocate(size_t bytes, const char*) override {
    void* memory;
    if (posix_memalign(&memory, 64, bytes) != 0) throw std::bad_alloc();
    std::memset(memory, 0xff, bytes);
    return memory;
  }
  void release(void* memory) override { std::free(memory); }
  std::unique_ptr<Queue> queue() override { return std::make_unique<EmulatedQueue>(order_, threads_); }
  void launch(const Launch& launch, void*) const override { interpret(launch, order_, threads_); }
  int device() const override { return -1; }

  Shape shape(const ProgramArrays& program, int64_t rows) const override {
    Shape shape;
    shape.block_rows = block_rows_ > 0 ? std::min(rows, block_rows_) : rows;
    // Small, so that commands which need more are cut.
    shape.scratch_floats = program.scratch_floats + 4096;
    shape.shared_bytes = shared_bytes_;
    return shape;
  }
  int64_t most_rows(const ProgramArrays& program) const override {
    return std::clamp<int64_t>((int64_t{1} << 26) / std::max<int64_t>(1, program.floats_per_row), 1, 256);
  }
  int64_t call_rows(const ProgramArrays& program) const override { return most_rows(program); }

 private:
  HostExecutor::Order order_;
  int64_t threads_, block_rows_, shared_bytes_;
};

}  // namespace

int64_t emulated_waits() { return waits; }

std::unique_ptr<Machine> make_emulated_machine(HostExecutor::Order order, int64_t threads, int64_t block_rows,
                                               int64_t shared_bytes) {
  return std::make_unique<EmulatedMachine>(order, threads, block_rows, shared_bytes);
}

}  // namespace cuda
}  // namespace genfast
