// What comes from the caller or its seed, goes from round to round, or goes back: conditions, the states of an iterated program,
// the output. docs/format.md, "Rounds" and "Output". Called by run_program.h.
#pragma once
#include "cuda/decode/program.h"
#include "numerics/uniforms.h"

namespace genfast {
namespace cuda {

// u(seed, row, site) of numerics/uniforms.h, two sites a block of Philox. With guidance two rows are one sample.
template <class Executor>
GENFAST_CALL void make_uniforms(Executor& exec, const Block& b) {
  const int64_t sites = b.program.n_sites, pairs = (sites + 1) / 2, copies = b.tile.guidance != 1.0f ? 2 : 1;
  exec.each(pairs * b.rows, [&](int64_t item) {
    const int64_t row = b.first + item % b.rows, site = item / b.rows * 2;
    const auto words = uniform_block(b.tile.seed, b.tile.first_row + static_cast<uint64_t>(row / copies),
                                     static_cast<uint64_t>(site / 2), kUniformDomainF64);
    for (int64_t j = 0; j < 2 && site + j < sites; ++j)
      b.tile.u[(site + j) * b.tile.rows + row] = uniform_f64(words.word[2 * j], words.word[2 * j + 1]);
  });
}

template <class Executor>
GENFAST_CALL void place_conditions(Executor& exec, const Block& b) {
  for (int32_t k = 0; k < b.program.n_conditions; ++k) {
    const ConditionInfo& condition = b.program.conditions[k];
    const int64_t positions = condition.positions, channels = condition.channels;
    exec.each(b.rows * channels * positions, [&](int64_t item) {
      const int64_t p = item % positions, c = item / positions % channels, r = item / positions / channels;
      const int64_t place = b.program.places[condition.places + p];
      if (place < 0) return;
      b.arena[place * b.capacity + r * condition.stride + c] =
          b.tile.conditions[(b.first + r) * b.program.condition_floats + condition.at + c * positions + p];
    });
  }
}

// Every state but value 0, which the sites fill.
template <class Executor>
GENFAST_CALL void fill_states(Executor& exec, const Block& b) {
  for (int32_t s = 1; s < b.program.n_states; ++s) {
    const StateInfo& state = b.program.states[s];
    exec.each(state.positions * b.rows * state.stride, [&](int64_t item) {
      const int64_t place = b.program.places[state.at + item / (b.rows * state.stride)];
      b.arena[place * b.capacity + item % (b.rows * state.stride)] = state.initial;
    });
  }
}

GENFAST_INLINE int64_t wrap(int64_t i, int64_t n) { return (i % n + n) % n; }

// All states of some rows, taken into scratch from where `from` says and put back rolled: [row][state][position][channel].
template <class Executor, class From, class Roll>
GENFAST_HD void move_states(Executor& exec, const Block& b, const From& from, const Roll& roll) {
  const Program& program = b.program;
  const int64_t each = program.row_state_floats, together = b.scratch_floats / each;
  for (int64_t begin = 0; begin < b.rows; begin += together) {
    const int64_t count = begin + together < b.rows ? together : b.rows - begin;
    int64_t at = 0;
    for (int32_t s = 0; s < program.n_states; ++s) {
      const StateInfo& state = program.states[s];
      const int64_t size = int64_t{state.positions} * state.channels;
      exec.each(count * size, [&](int64_t item) {
        const int64_t c = item % state.channels, p = item / state.channels % state.positions, r = item / size;
        b.scratch[r * each + at + p * state.channels + c] = from(state, p, begin + r)[c];
      });
      at += size;
    }
    at = 0;
    for (int32_t s = 0; s < program.n_states; ++s) {
      const StateInfo& state = program.states[s];
      const int64_t size = int64_t{state.positions} * state.channels;
      const int64_t width = state.on_grid ? program.grid_width : state.positions, height = state.positions / width;
      exec.each(count * size, [&](int64_t item) {
        const int64_t c = item % state.channels, p = item / state.channels % state.positions, r = item / size;
        const int64_t dy = state.on_grid ? roll(begin + r, 0) : 0, dx = state.on_grid ? roll(begin + r, 1) : 0;
        const int64_t source = wrap(p / width - dy, height) * width + wrap(p % width - dx, width);
        const int64_t place = program.places[state.at + p];
        b.arena[place * b.capacity + (begin + r) * state.stride + c] = b.scratch[r * each + at + source * state.channels + c];
      });
      at += size;
    }
  }
}

// Each state that lies on the input's grid, by the tile's rolls.
template <class Executor>
GENFAST_CALL void roll_states(Executor& exec, const Block& b) {
  move_states(
      exec, b,
      [&](const StateInfo& state, int64_t p, int64_t r) {
        return b.arena + static_cast<int64_t>(b.program.places[state.at + p]) * b.capacity + r * state.stride;
      },
      [&](int64_t r, int axis) { return b.tile.rolls[2 * (b.first + r) + axis]; });
}

// Every `next` in its state's place, at once, and rolled back. What is not finite is a failure of the round.
template <class Executor>
GENFAST_CALL void advance_states(Executor& exec, const Block& b, int64_t round) {
  move_states(
      exec, b,
      [&](const StateInfo& state, int64_t p, int64_t r) {
        const int64_t place = b.program.places[state.next + p];
        return state.next_constant ? b.program.floats() + place : b.arena + place * b.capacity + r * state.next_stride;
      },
      [&](int64_t r, int axis) { return b.tile.rolls ? -b.tile.rolls[2 * (b.first + r) + axis] : 0; });
  for (int32_t s = 0; s < b.program.n_states; ++s) {
    const StateInfo& state = b.program.states[s];
    exec.each(state.positions * b.rows * state.channels, [&](int64_t item) {
      const int64_t c = item % state.channels, r = item / state.channels % b.rows, p = item / state.channels / b.rows;
      const float x = b.arena[static_cast<int64_t>(b.program.places[state.at + p]) * b.capacity + r * state.stride + c];
      if (!(x - x == 0.0f)) b.fail(round < kOutputStep ? round : kOutputStep - 1, kStatePlace + s, r);
    });
  }
}

// Element after element of a row, in the order of the output's shape.
template <class Executor>
GENFAST_CALL void write_output(Executor& exec, const Block& b) {
  const OutputInfo& output = b.program.output;
  const int64_t positions = output.positions, size = positions * output.channels;
  exec.each(b.rows * size, [&](int64_t item) {
    const int64_t p = item % positions, c = item / positions % output.channels, r = item / size;
    const int64_t place = b.program.places[output.places + p];
    const float x = output.constant ? b.program.floats()[place + c] : b.arena[place * b.capacity + r * output.stride + c];
    b.tile.output[(b.first + r) * size + c * positions + p] = x;
    if (!(x - x == 0.0f)) b.fail(kOutputStep, 0, r);
  });
}

}  // namespace cuda
}  // namespace genfast
