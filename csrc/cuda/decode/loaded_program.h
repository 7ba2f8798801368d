// A device program with its arrays on a Machine, and what the core knows of it. Made once a plan by decoder.cc's backend; decoders
// and device_call.cc run it. It waits for the device once, when it is made, and never again.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "cuda/decode/machine.h"
#include "engine/backend.h"

namespace genfast {
namespace cuda {

// Steps of one launch: what a caller who wants to stop must wait for.
constexpr int64_t kStepsAtOnce = 256;

// An array on a machine.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(std::shared_ptr<Machine> machine, size_t size, const char* what)
      : machine_(std::move(machine)),
        data_(size ? static_cast<T*>(machine_->allocate(size * sizeof(T), what)) : nullptr),
        size_(size) {}
  DeviceArray(DeviceArray&& other) noexcept { swap(other); }
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceArray() {
    if (data_) machine_->release(data_);
  }
  T* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void swap(DeviceArray& other) noexcept {
    std::swap(machine_, other.machine_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  std::shared_ptr<Machine> machine_;
  T* data_ = nullptr;
  size_t size_ = 0;
};

struct LoadedProgram {
  std::shared_ptr<Machine> machine;
  std::shared_ptr<const Graph> graph;
  std::shared_ptr<const Plan> plan;
  std::unique_ptr<ProgramArrays> host;  // without the data, which may be large
  Program program;                      // pointers of the machine
  std::vector<DeviceArray<uint8_t>> memory;

  LoadedProgram(std::shared_ptr<Machine> on, std::shared_ptr<const Graph> of, std::shared_ptr<const Plan> by, Precision precision);

  // Of an output, and of the logits a caller may ask for, of one row.
  int64_t output_size() const;
  int64_t logits_size() const;
  // Where heads keep what filters leave: slots of each block, for a launch of some blocks of some rows.
  int64_t filter_slots(int64_t blocks, int64_t block_rows) const;
  int64_t filter_bytes(int64_t blocks, int64_t slots) const;
};

class DeviceProgram : public genfast::Program {
 public:
  explicit DeviceProgram(std::shared_ptr<const LoadedProgram> loaded) : loaded_(std::move(loaded)) {}

  const LoadedProgram& loaded() const { return *loaded_; }
  std::unique_ptr<Decoder> decoder(int64_t capacity) const override;  // decoder.cc
  int64_t tile_rows(int64_t rows, int) const override {
    const int64_t most = std::min(loaded_->machine->most_rows(*loaded_->host), kMostRows);
    const int64_t tiles = (rows + most - 1) / most;
    return std::max<int64_t>(1, (rows + tiles - 1) / tiles);
  }
  int64_t steps_at_once() const override { return kStepsAtOnce; }
  bool counts_uniforms() const override { return true; }

 private:
  std::shared_ptr<const LoadedProgram> loaded_;
};

}  // namespace cuda
}  // namespace genfast
