// TileRun: some rows of one call, from the caller's arrays to a decoder's tile, step by step, and back. Made by model.cc, which
// has checked the arguments; used by one thread at a time. It plans nothing and knows no kernels but the uniforms'.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/prepared.h"
#include "genfast/genfast.h"

namespace genfast {

// Numbers of an array of this shape.
int64_t elements(const std::vector<int64_t>& shape);

// What one call of Model reads and writes. Null where it does not.
struct Call {
  const Graph* graph = nullptr;
  const Options* options = nullptr;
  std::vector<const float*> conditions, unconditional;  // [condition of the graph], for all rows
  bool guided = false;
  bool streams = false;  // tokens are asked for after every step
  int tile_threads = 1;  // threads for each tile, where there are more of them than tiles

  // Drawing: the rows' sites [n][sites], where given sites stand before, and all sites after. May all be null where there is an
  // output.
  uint8_t* out_u8 = nullptr;
  int32_t* out_i32 = nullptr;
  float* out_f32 = nullptr;
  // Not drawing: every site is given.
  const int32_t* levels = nullptr;
  const float* x = nullptr;
  double* log_prob = nullptr;
  double *lower = nullptr, *upper = nullptr;
  float* logits = nullptr;
  // Drawing or not: [n][elements of the output].
  float* output = nullptr;

  bool draws() const { return !levels && !x; }
  // Options.u has so many a row.
  int64_t uniforms() const { return output ? graph->uniforms() : graph->sites(); }
  // What progress counts, of a row.
  int64_t units() const { return !output ? graph->sites() : std::max<int64_t>(1, graph->iteration.rounds); }
};

class TileRun {
 public:
  // Rows [begin, begin + rows) of the call, which must outlive this. Tiles of the plan are cut for `capacity` rows. Throws
  // ArgumentError for a u outside [0, 1] and for a given level that there is not.
  TileRun(std::shared_ptr<Prepared> ready, const Call& call, int64_t begin, int64_t rows, int64_t capacity);

  // Runs the next step, or as many as the device takes together. False when there is none left, or no row goes on.
  bool step();
  int64_t units_done() const { return units_done_; }  // of Call::units
  int64_t drawn() const { return drawn_; }            // ranks below are drawn or given
  int64_t end() const { return end_; }                // no row goes on from this rank on
  // The level of each of the tile's rows at a rank below drawn(), or what pads a row that has ended.
  void tokens(int64_t rank, int32_t* out) const;
  // Writes what the call asked for.
  void finish();

 private:
  void place_conditions();
  void place_given();
  void place_numbers();
  void place_uniforms();
  void place_rolls();
  bool step_body();
  int64_t last_together(int64_t first) const;
  void set_level(int64_t site, int64_t row, int32_t level, bool fixed);
  void set_x(int64_t site, int64_t row, float x);
  void advance();
  void find_end();
  size_t at(int64_t site, int64_t row) const { return static_cast<size_t>(site * tile_rows_ + row * copies_); }

  std::shared_ptr<Prepared> ready_;
  const Call& call_;
  const Options& options_;
  const Graph& graph_;
  const int64_t begin_, rows_, copies_, tile_rows_;
  mutable Prepared::Lease work_;
  int64_t next_step_ = 0, round_ = 0, units_done_ = 0, drawn_ = 0, end_ = 0;
  std::vector<int32_t> step_of_;              // [site] that draws it, or -1: there before the first
  std::vector<int64_t> row_begin_, row_end_;  // [row]: ranks that it may draw
  std::vector<int64_t> row_last_;             // [row]: its last rank below row_end_ that is not given, or -1
  std::vector<int32_t> padding_;              // [row]: what stands from row_end_ on
};

}  // namespace genfast
