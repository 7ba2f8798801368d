// The device program: a Plan of a Graph as flat arrays of numbers that a device can hold, and the views through which the step code
// reads them. Made by compile_program.cc, run by run_program.h on any executor. Plain data: no pointers into the Graph, no virtual
// calls, nothing that depends on the batch.
#pragma once
#include <cstdint>

#include "base/families.h"
#include "base/ops.h"
#include "cuda/decode/lanes.h"
#include "graph/graph.h"
#include "numerics/lane.h"

namespace genfast {
namespace cuda {

// Where a command finds element (position i of its own list, row r, channel c), by what `places` says of position i:
//   arena[place * capacity + r * stride + channel + c], or data[place + channel + c], the same for all rows; -1: outside.
struct Access {
  int32_t places = 0;  // of position 0, in Program::places
  int32_t stride = 0;  // floats between rows
  int32_t channel = 0;
  int32_t constant = 0;
};

// A run of K indices that read neighbouring channels of one source (base/gemm_packing.h).
struct Segment {
  int32_t count, weight_row, new_chunk;
  int32_t stride, channel, constant;  // as in Access
};

// Up to sixteen neighbouring K indices of a segment, for the fast mode.
struct TensorStep {
  int32_t segment, channel, count;  // of the piece's segments; from the segment's first channel on
};

// Columns of a gemm node that are computed together.
struct Piece {
  int64_t weights, bytes, resident;  // byte of the data, how many, and where among all weights (stage.h)
  int64_t bias, scales;              // floats of the data, or -1
  int32_t type;                      // WeightType
  int32_t k_rows, columns;           // of the packed weights, before padding
  int32_t segments, n_segments;      // in Program::segments
  int32_t chunks;                    // into which new_chunk cuts the segments
  int32_t steps, n_steps;  // in Program::tensor_steps, with weights [step][padded_tiles] as tensor_tile.h wants them; 0: f32
  int32_t padded_tiles;
};

// One operation on an element, right after it was computed by its command.
struct Pointwise {
  struct Operand {
    Access at;
    int32_t broadcast;  // channel 0 for all
    int32_t previous;   // what the operation before left at this very element
  };
  int32_t op, operands;  // MapOp
  Operand in[3];
  Access out;
  int64_t params;  // floats of the data
};

struct GemmCommand {
  int32_t piece, sources;  // places [segment][position]
  Access out;
};
struct CopyBlock {
  int32_t begin, end;  // channels of the out
  Access in;           // its channel 0 is `begin`
};
struct CopyCommand {
  Access out;
  int32_t begin, blocks, n_blocks;  // channel of the out at column 0; in Program::blocks
  float fill;
};
struct RowCommand {
  int32_t op, columns;  // RowOp; channels read
  Access in, out;
  int64_t params, weight, bias;  // floats of the data, or -1
};
struct LookupCommand {
  Access index, out;
  int64_t table, scales;  // byte and float of the data
  int64_t rows;
  int32_t type;
};
struct AttendCommand {
  Access q, out;
  Access k, v;               // their places are those of every key
  int32_t seen;              // places [position][2]: first and count of the keys seen
  int32_t listed;            // whether those are an index into `places` that lists keys, not keys themselves
  int32_t position_of_bias;  // places [position], or -1: bias starts at `bias` + position * keys
  int32_t heads, kv_heads, dim, dim_v, keys;
  int32_t q_step, k_step, v_step;
  int64_t bias, bias_step;  // floats of the data
  float scale;
};

struct Command {
  enum class Kind : int32_t { gemm, map, copy, row, lookup, attend };
  Kind kind;
  int32_t index;  // into the array of its kind; not for map
  int32_t positions, columns;
  int32_t next_gemm;       // of Program::gemms, the first of a later command; -1: none
  int32_t chain, n_chain;  // Pointwise operations behind a gemm; all of a map
};

struct StepCommands {
  int32_t commands, n_commands;
  int32_t sites, n_sites;
};
constexpr int32_t kNoDistribution = -2;
struct Site {
  int32_t site;
  int32_t logits;  // place of the head's value; -1: it is not computed; kNoDistribution
  int32_t input;   // place of value 0, or -1: nothing reads it
  int32_t again;   // whether a site before it in Program::sites is the same: known ones that are scored are listed twice
  // Mixtures of logistics draw the channels of a position together, at the first of its sites in the step: places [channel], 1
  // where the step draws that channel. -1: another site's.
  int32_t channels;
};

// What graph.h says of the head, with floats of the data in place of indices of weights.
struct HeadInfo {
  HeadKind kind;
  int32_t stride, constant, channel;  // of the head's value
  int32_t input_stride;
  int32_t levels, bos, probs, by_position;
  int64_t values;
  int32_t outputs;  // channels it reads
  int32_t components, coupled;
  double low, step;  // logistic mixture: level k stands for low + k * step
  Family family;
  int32_t mixture_logits, n_params;
  HeadParam params[kMaxFamilyParams];
};

struct ConditionInfo {
  int32_t places, positions, channels, stride;
  int32_t at;  // its first float among those of a row
  int32_t integer;
  int64_t size;  // exclusive upper bound of an integer one
};
struct StateInfo {
  int32_t at, next;  // places of each position
  int32_t positions, channels, stride, next_stride, next_constant, on_grid;
  float initial;
};
struct OutputInfo {
  int32_t places, positions, channels, stride, constant;
};

// Everything about a plan that does not depend on the batch. The pointers are the device's.
struct Program {
  const int32_t* places;
  const uint8_t* data;  // weights and constants; 64-byte aligned
  const Segment* segments;
  const TensorStep* tensor_steps;
  const Piece* pieces;
  const Pointwise* chain;
  const GemmCommand* gemms;
  const CopyBlock* blocks;
  const CopyCommand* copies;
  const RowCommand* rows;
  const LookupCommand* lookups;
  const AttendCommand* attends;
  const Command* commands;
  const StepCommands* steps;
  const Site* sites;
  const ConditionInfo* conditions;
  const StateInfo* states;
  int32_t n_steps, body, n_known, n_conditions, n_states;  // the sites before the first step's are `known`
  int32_t n_listed;                                        // sites in all: known, then step by step
  int32_t condition_floats;                                // of a row, all conditions
  int32_t grid_height, grid_width;                         // of jittered states; 0 without
  int64_t row_state_floats;                                // of all states
  int64_t positions, n_sites;                              // of value 0
  HeadInfo head;
  OutputInfo output;       // positions 0: none
  int64_t resident_bytes;  // of the weights of all pieces
  int32_t n_pieces;
  int64_t zeros;  // floats of the data that are +0, as many as the longest segment has channels

  GENFAST_HD const float* floats() const { return reinterpret_cast<const float*>(data); }
};

// The caller's arrays on the device: engine/backend.h, Tile.
struct TileArrays {
  int64_t rows;  // between sites, of which a launch may take some
  double* u;
  int32_t counted;  // u is made by the device, of the seed
  uint64_t seed, first_row;
  int32_t* levels;
  float* x;
  const uint8_t* given;
  double *log_prob, *lower, *upper;
  float* logits;
  float* output;
  const int32_t* rolls;
  const float* conditions;  // [row][the floats of every condition]
  float temperature, guidance;
  int64_t top_k;
  double top_p, min_p;
  char* filtered;  // what filters keep, filter_slots of KeptLevels::bytes() for each block of rows; null without filters
  int64_t filter_slots;
  // Of arrays that no host has looked at, and of which nobody waits for an error (unchecked.h); else null.
  uint8_t* good;         // [row]: 1, or 0 of a row that failed
  double* row_log_prob;  // [row]: the sum of log_prob over sites
};

// Floats of scratch that one item of a phase needs: a row of a RowCommand at one position, likewise of an AttendCommand (those that
// see `keys` keys), and a site of one row for the head.
constexpr int64_t kRowScratch = 2 * kLanes;
GENFAST_INLINE int64_t padded_keys(int64_t keys) { return (keys + kLanes - 1) / kLanes * kLanes; }
GENFAST_INLINE int64_t attend_scratch(int64_t heads, int64_t keys) { return heads * (padded_keys(keys) + 2 * kLanes); }
// A double for each block of 16 levels and for what they come to, then a float for each block's maximum.
GENFAST_INLINE int64_t level_blocks(int64_t levels) { return (levels + kLanes - 1) / kLanes; }
GENFAST_INLINE int64_t head_scratch(const HeadInfo& head) {
  switch (head.kind) {
    case HeadKind::categorical:
      return 3 * level_blocks(head.levels) + 3;
    case HeadKind::logistic_mixture:
      return 2 * 5 * head.components;
    case HeadKind::family:
      return 2 * (head.n_params + 2) * head.components;
    default:
      return 1;
  }
}

// The first thing that went wrong, by step, place in the step, and row: the smallest key wins. None: all ones.
constexpr uint64_t kNoFailure = ~uint64_t{0};
GENFAST_INLINE uint64_t failure_key(int64_t step, int64_t place, int64_t row) {
  return static_cast<uint64_t>(step) << 44 | static_cast<uint64_t>(place) << 24 | static_cast<uint64_t>(row);
}
constexpr int64_t kMostSteps = int64_t{1} << 20, kMostPlaces = int64_t{1} << 20, kMostRows = int64_t{1} << 24;
// Of an output, and of state s in a round, which takes the place of the step.
constexpr int64_t kOutputStep = kMostSteps - 1, kStatePlace = kMostPlaces / 2;

// What a launch does for a tile of rows.
struct Work {
  int32_t begin;        // place conditions and known sites, fill states
  int32_t first, last;  // steps
  int32_t round;        // of the body
  int32_t finish;       // write the output, and what is said of unchecked rows
};

struct Stage;

// Rows that a block decodes together, and its memory.
struct Block {
  const Program& program;
  const TileArrays& tile;
  float* arena;  // [place * capacity + …]
  int64_t capacity;
  int64_t first, rows;  // of the tile
  float* scratch;       // 16-byte aligned
  int64_t scratch_floats;
  uint64_t* failure;  // one with notes (notes.h) behind it, or of unchecked rows one each
  Stage* stage;       // stage.h; may be null

  GENFAST_HD const float* read(const Access& at, int64_t i, int64_t r) const {
    const int64_t place = program.places[at.places + i];
    if (at.constant) return program.floats() + place + at.channel;
    return arena + place * capacity + r * at.stride + at.channel;
  }
  GENFAST_HD float* write(const Access& at, int64_t i, int64_t r) const {
    return arena + static_cast<int64_t>(program.places[at.places + i]) * capacity + r * at.stride + at.channel;
  }
  GENFAST_HD bool outside(const Access& at, int64_t i) const { return program.places[at.places + i] < 0; }
  // row: of the block.
  GENFAST_HD void fail(int64_t step, int64_t place, int64_t row) const {
    const uint64_t key = failure_key(step, place, first + row);
    uint64_t* note = tile.good ? failure + first + row : failure;
#if defined(__CUDA_ARCH__)
    atomicMin(reinterpret_cast<unsigned long long*>(note), static_cast<unsigned long long>(key));
#else
    // Items of one phase may fail together, on the host where its threads are threads.
    uint64_t seen = __atomic_load_n(note, __ATOMIC_RELAXED);
    while (key < seen && !__atomic_compare_exchange_n(note, &seen, key, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
#endif
  }
};

}  // namespace cuda
}  // namespace genfast
