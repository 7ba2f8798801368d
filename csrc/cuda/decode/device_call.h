// A whole call of a model whose arrays lie on the device: its work is put on the caller's stream, in the caller's memory, and
// nobody waits. So nothing is raised for what the arrays hold; rows that fail are noted in TileArrays::good. Called by the
// bindings, with the Program that the engine has made ready; the engine's own calls go through decoder.cc instead.
#pragma once
#include <cstdint>

#include "cuda/decode/program.h"
#include "engine/backend.h"

namespace genfast {
namespace cuda {

struct DeviceCall {
  int64_t rows = 0;     // with guidance two a sample, side by side
  TileArrays arrays{};  // of all rows; what filters keep is of the workspace, rolls are those of the first round
  int64_t end = 0;      // ranks from here on are given or not wanted
  void* workspace = nullptr;
  int64_t workspace_bytes = 0;
  void* stream = nullptr;  // the machine's

  bool filtered() const { return arrays.top_k < INT64_MAX || arrays.top_p < 1 || arrays.min_p > 0; }
  bool guided() const { return arrays.guidance != 1.0f; }
};

// What a program says of the sizes that a call of it must have. Throws DeviceError for a program of another device.
struct DeviceSizes {
  int device;  // of CUDA, or -1: emulated
  int64_t sites, levels, condition_floats, logits, output, rounds, jitter;
};
DeviceSizes device_sizes(const genfast::Program& program);

// Of the workspace.
int64_t workspace_bytes(const genfast::Program& program, const DeviceCall& call);

// Arrays must have the sizes that device_sizes() says, checked by the caller.
void enqueue(const genfast::Program& program, const DeviceCall& call);

}  // namespace cuda
}  // namespace genfast
