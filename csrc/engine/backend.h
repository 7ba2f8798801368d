// Backend: what a device must offer to run Plans. One virtual call per step, or several, of a tile of rows, never per element. The
// CPU's is cpu_backend.cc; another extension module may register its own by name, so this room never names other devices.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "plan/plan.h"

namespace genfast {

// What is left of a categorical distribution, in this order: the top_k largest, the fewest largest that reach top_p, those of at
// least min_p times the largest weight. Each is off at the start.
struct Filters {
  int64_t top_k = INT64_MAX;
  double top_p = 1, min_p = 0;
  bool any() const { return top_k < INT64_MAX || top_p < 1 || min_p > 0; }
};

// A tile of rows to decode. Arrays are the caller's, already checked; `rows` is at most the decoder's capacity.
struct Tile {
  int64_t rows = 0;
  int threads = 1;            // that may work on it
  const double* u = nullptr;  // [site][row]; null when every site is given
  // In the place of u, for programs that count uniforms themselves: those of numerics/uniforms.h, of row first_row + r.
  bool counted = false;
  uint64_t seed = 0, first_row = 0;
  int32_t* levels = nullptr;  // [site][row], heads with levels: drawn, or given
  float* x = nullptr;         // [site][row], the family head: drawn, or given
  const uint8_t* given =
      nullptr;  // [site][row]: 1 where the level is given although u is there; null for none. Covers the plan's known sites
  double* log_prob = nullptr;                 // [site][row], of given levels; may be null
  double *lower = nullptr, *upper = nullptr;  // [site][row], of given levels: F just below and at the level; may be null
  float* logits = nullptr;                    // [row][level][site], given levels only; may be null
  float* output = nullptr;               // [row][element of graph.output.shape, in C order], of plans with an output; may be null
  const int32_t* rolls = nullptr;        // [row][2]: dy and dx of the round that is run next; null without jitter
  std::vector<const float*> conditions;  // per condition of the graph: [row][position * channel as placed by the caller]
  float temperature = 1;
  Filters filters;
  // Classifier-free guidance: rows 2i and 2i + 1 are one sample, conditional and unconditional; the levels of both are the same and
  // drawn from unconditional + guidance · (conditional - unconditional). Off when 1.
  float guidance = 1;
  bool watched = false;  // what is drawn is there after every run, not only at the end
};

// Runs a plan for one tile, step by step. Holds the activations; used by one thread at a time, which shares large groups with the
// pool where the tile allows it.
class Decoder {
 public:
  virtual ~Decoder() = default;
  // Takes a tile, which must stay where it is until its last step, and places what is known: conditions, and the given levels of
  // sites that no step draws. Errors number rows from first_row on.
  virtual void begin(const Tile& tile, int64_t first_row) = 0;
  // Runs steps [first, last) of the plan and draws their sites. Steps run in order, from 0 on, the body of a plan alone and as
  // often as there are rounds; whoever has enough stops there. Throws NumericalError naming the row and the site, or the round; a
  // device may do so later, at the latest in finish().
  virtual void run(int64_t first, int64_t last) = 0;
  // Completes the tile's arrays, after the last run, and writes tile.output. Throws NumericalError naming the row and the element
  // that is not finite.
  virtual void finish() = 0;
};

// A plan made ready for a device, shared by its decoders.
class Program {
 public:
  virtual ~Program() = default;
  virtual std::unique_ptr<Decoder> decoder(int64_t capacity) const = 0;
  // Rows to decode together when `rows` are asked for on `threads` threads.
  virtual int64_t tile_rows(int64_t rows, int threads) const = 0;
  // Steps worth running in one go, between which nobody can report progress or interrupt.
  virtual int64_t steps_at_once() const { return 1; }
  // Whether it takes a Tile that is `counted`.
  virtual bool counts_uniforms() const { return false; }
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::shared_ptr<const Program> prepare(std::shared_ptr<const Graph> graph, std::shared_ptr<const Plan> plan) const = 0;
};

using BackendFactory = std::function<std::unique_ptr<Backend>()>;
// A device that is registered again keeps the backend it has.
void register_backend(const std::string& device, BackendFactory factory);
// Made when first asked for. Throws ArgumentError naming the registered devices.
const Backend& backend(const std::string& device);

// Another extension module gets register_backend under this name, as a pointer of its type: a RegisterBackend.
using RegisterBackend = void (*)(const std::string& device, BackendFactory factory);
inline constexpr char kBackendRegistry[] = "genfast.backend_registry";
// And gets the programs that its own backend made back under this name, each as a std::shared_ptr<const Program>.
inline constexpr char kProgramCapsule[] = "genfast.program";

std::unique_ptr<Backend> make_cpu_backend();

}  // namespace genfast
