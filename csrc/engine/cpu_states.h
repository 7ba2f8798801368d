// States on the CPU: what an iterated graph carries from round to round, in a decoder's arena. Made and used by cpu_decoder.cc;
// it runs no node, it only fills states, rolls them, and puts `next` in their place. docs/format.md, "Rounds".
#pragma once
#include <cstdint>
#include <vector>

#include "engine/backend.h"
#include "engine/cpu_arena.h"

namespace genfast {

class CpuStates {
 public:
  // Of a plan with a body; graph and arena must outlive it.
  CpuStates(const Graph& graph, const Plan& plan, CpuArena& arena);

  // Every state but value 0, which the sites fill.
  void fill(int64_t rows);
  // Each state that lies on the input's grid, by the tile's rolls.
  void roll(const Tile& tile);
  // Every `next` in its state's place, at once, and rolled back. Throws NumericalError where one is not finite.
  void advance(const Tile& tile, int64_t first_row, int64_t round);

 private:
  struct Place {
    int64_t positions, channels, stride, next_stride;
    bool on_grid;
    std::vector<float*> at;          // [position] row 0
    std::vector<const float*> next;  // likewise
  };

  void advance_row(const Tile& tile, int64_t row);
  // From scratch into the state, position (y, x) from (y - dy, x - dx).
  void put(const Place& place, const float* from, int64_t row, int64_t dy, int64_t dx);
  void check(const Place& place, const Tile& tile, int64_t first_row, int64_t round) const;

  int64_t height_ = 0, width_ = 0;  // of the grid; 0 without jitter
  bool exchange_ = false;           // some `next` is a state: all are read before any is written
  std::vector<float> initial_;      // [state]
  std::vector<Place> places_;       // [state]
  std::vector<float> scratch_;      // all states of one row
};

}  // namespace genfast
