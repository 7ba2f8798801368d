#include "engine/cpu_states.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/errors.h"

namespace genfast {
namespace {

// Whether some of n numbers is NaN or infinite, without a branch a number.
bool some_not_finite(const float* x, int64_t n) {
  uint32_t found = 0;
  for (int64_t i = 0; i < n; ++i) {
    uint32_t bits;
    std::memcpy(&bits, x + i, sizeof bits);
    found |= (bits & 0x7f800000u) == 0x7f800000u;
  }
  return found != 0;
}

int64_t wrap(int64_t i, int64_t n) { return (i % n + n) % n; }

}  // namespace

CpuStates::CpuStates(const Graph& graph, const Plan& plan, CpuArena& arena) {
  if (graph.iteration.jitter > 0) {
    height_ = graph.input_shape[graph.input_shape.size() - 2];
    width_ = graph.input_shape.back();
  }
  int64_t floats = 0;
  for (const State& state : graph.iteration.states) {
    const Value& value = graph.values[static_cast<size_t>(state.value)];
    Place place{value.positions,
                value.channels,
                plan.stride[static_cast<size_t>(state.value)],
                arena.stride(state.next),
                height_ > 0 && value.positions == height_ * width_,
                {},
                {}};
    Source next;  // through no table
    next.value = state.next;
    for (int64_t p = 0; p < value.positions; ++p) {
      place.at.push_back(arena.place(state.value, p));
      place.next.push_back(arena.read(next, p));
    }
    floats += value.positions * value.channels;
    initial_.push_back(state.initial);
    places_.push_back(std::move(place));
    for (const State& other : graph.iteration.states) exchange_ = exchange_ || other.value == state.next;
  }
  if (exchange_ || height_ > 0) scratch_.resize(static_cast<size_t>(floats));
}

void CpuStates::fill(int64_t rows) {
  for (size_t s = 1; s < places_.size(); ++s)
    for (float* at : places_[s].at) std::fill_n(at, rows * places_[s].stride, initial_[s]);
}

void CpuStates::roll(const Tile& tile) {
  for (const Place& place : places_) {
    if (!place.on_grid) continue;
    for (int64_t r = 0; r < tile.rows; ++r) {
      const int64_t dy = tile.rolls[2 * r], dx = tile.rolls[2 * r + 1];
      if (dy == 0 && dx == 0) continue;
      for (int64_t p = 0; p < place.positions; ++p)
        std::copy_n(place.at[static_cast<size_t>(p)] + r * place.stride, place.channels, scratch_.data() + p * place.channels);
      put(place, scratch_.data(), r, dy, dx);
    }
  }
}

void CpuStates::advance(const Tile& tile, int64_t first_row, int64_t round) {
  if (exchange_ || height_ > 0) {
    for (int64_t r = 0; r < tile.rows; ++r) advance_row(tile, r);
  } else {
    for (const Place& place : places_)
      for (size_t p = 0; p < place.at.size(); ++p) {
        if (place.stride == place.next_stride)
          std::copy_n(place.next[p], tile.rows * place.stride, place.at[p]);
        else
          for (int64_t r = 0; r < tile.rows; ++r)
            std::copy_n(place.next[p] + r * place.next_stride, place.channels, place.at[p] + r * place.stride);
      }
  }
  for (const Place& place : places_) check(place, tile, first_row, round);
}

void CpuStates::advance_row(const Tile& tile, int64_t row) {
  float* to = scratch_.data();
  for (const Place& place : places_)
    for (int64_t p = 0; p < place.positions; ++p, to += place.channels)
      std::copy_n(place.next[static_cast<size_t>(p)] + row * place.next_stride, place.channels, to);
  const float* from = scratch_.data();
  for (const Place& place : places_) {
    const bool rolled = place.on_grid;
    put(place, from, row, rolled ? -tile.rolls[2 * row] : 0, rolled ? -tile.rolls[2 * row + 1] : 0);
    from += place.positions * place.channels;
  }
}

void CpuStates::put(const Place& place, const float* from, int64_t row, int64_t dy, int64_t dx) {
  const int64_t width = place.on_grid ? width_ : place.positions, height = place.positions / width;
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const int64_t source = wrap(y - dy, height) * width + wrap(x - dx, width);
      std::copy_n(from + source * place.channels, place.channels,
                  place.at[static_cast<size_t>(y * width + x)] + row * place.stride);
    }
}

void CpuStates::check(const Place& place, const Tile& tile, int64_t first_row, int64_t round) const {
  for (int64_t p = 0; p < place.positions; ++p) {
    // All rows of a position at once, where nothing lies between them.
    if (place.stride == place.channels && !some_not_finite(place.at[static_cast<size_t>(p)], tile.rows * place.stride)) continue;
    for (int64_t r = 0; r < tile.rows; ++r) {
      const float* at = place.at[static_cast<size_t>(p)] + r * place.stride;
      if (!some_not_finite(at, place.channels)) continue;
      throw NumericalError("row " + std::to_string(first_row + r) + ", round " + std::to_string(round) + ": state " +
                           std::to_string(&place - places_.data()) + " is not finite at position " + std::to_string(p) +
                           ": the iteration diverges, a smaller step may help");
    }
  }
}

}  // namespace genfast
