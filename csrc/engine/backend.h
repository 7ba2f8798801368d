// Backend: what a device must offer to run Plans. One virtual call per tile of rows, never per element. The CPU's is
// cpu_backend.cc; another extension module may register its own by name, so this room never names other devices.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "plan/plan.h"

namespace genfast {

// A tile of rows to decode. Arrays are the caller's, already checked; `rows` is at most the decoder's capacity.
struct Tile {
  int64_t rows = 0;
  const double* u = nullptr;             // [site][row]; null when levels are given
  int32_t* levels = nullptr;             // [site][row]: drawn, or given when u is null
  double* log_prob = nullptr;            // [site][row], given levels only; may be null
  float* logits = nullptr;               // [row][level][site], given levels only; may be null
  std::vector<const float*> conditions;  // per condition of the graph: [row][position * channel as placed by the caller]
  float temperature = 1;
  std::function<void(int64_t sites_done)> on_step;  // may throw to stop
};

// Runs the whole plan for one tile. Holds the activations; used by one thread at a time.
class Decoder {
 public:
  virtual ~Decoder() = default;
  // Throws NumericalError naming the row of the tile (added to first_row) and the site.
  virtual void run(const Tile& tile, int64_t first_row) = 0;
};

// A plan made ready for a device, shared by its decoders.
class Program {
 public:
  virtual ~Program() = default;
  virtual std::unique_ptr<Decoder> decoder(int64_t capacity) const = 0;
  // Rows to decode together when `rows` are asked for on `threads` threads.
  virtual int64_t tile_rows(int64_t rows, int threads) const = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::shared_ptr<const Program> prepare(std::shared_ptr<const Graph> graph, std::shared_ptr<const Plan> plan) const = 0;
};

using BackendFactory = std::unique_ptr<Backend> (*)();
void register_backend(const std::string& device, BackendFactory factory);
// Throws ArgumentError naming the registered devices.
const Backend& backend(const std::string& device);

std::unique_ptr<Backend> make_cpu_backend();

}  // namespace genfast
