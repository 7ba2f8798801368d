// Attention: scores, their maximum, weights and their sum, values, each a phase over (position, row, head) and what it is about.
// The arithmetic is that of kernels/attend-inl.h. Called by run_program.h.
#pragma once
#include "cuda/decode/lanes.h"
#include "cuda/decode/program.h"
#include "numerics/exp_log.h"

namespace genfast {
namespace cuda {

template <class Executor>
class AttendPhases {
 public:
  // `keys`: the most that any of the command's positions sees.
  GENFAST_HD AttendPhases(Executor& exec, const Block& b, const Command& command, int64_t keys)
      : exec_(exec), b_(b), a_(b.program.attends[command.index]), padded_(padded_keys(keys)), shared_(a_.heads / a_.kv_heads) {}

  // Positions times rows [begin, begin + count) of the command.
  GENFAST_HD void run(int64_t begin, int64_t count) {
    begin_ = begin;
    exec_.each(count * a_.heads * padded_, [&](int64_t item) {
      const int64_t j = item % padded_, h = item / padded_ % a_.heads, m = item / padded_ / a_.heads;
      scores(m, h)[j] = j < seen(m) ? score(m, h, j) : -__builtin_inff();
    });
    each_lane(count, [&](int64_t m, int64_t h, int64_t lane) {
      float best = -__builtin_inff();
      for (int64_t j = lane; j < padded_; j += kLanes) best = numerics::max(best, scores(m, h)[j]);
      partial(m, h, 0)[lane] = best;
    });
    each_lane(count, [&](int64_t m, int64_t h, int64_t lane) {
      const float shift = fold_max(partial(m, h, 0));
      const int64_t mine = padded_keys(seen(m));
      float sum = 0.0f;
      for (int64_t j = lane; j < mine; j += kLanes) {
        const float w = numerics::exp_nonpositive_f32(scores(m, h)[j] - shift);
        scores(m, h)[j] = w;
        sum = sum + w;
      }
      partial(m, h, 1)[lane] = sum;
    });
    exec_.each(count * a_.heads * a_.dim_v, [&](int64_t item) {
      const int64_t e = item % a_.dim_v, h = item / a_.dim_v % a_.heads, m = item / a_.dim_v / a_.heads, n = seen(m);
      float sum = 0.0f;
      for (int64_t j = 0; j < n; ++j)
        sum = numerics::fma(scores(m, h)[j], b_.read(a_.v, key(m, j), row(m))[h / shared_ * a_.v_step + e], sum);
      b_.write(a_.out, position(m), row(m))[h * a_.dim_v + e] =
          n == 0 ? 0.0f : numerics::canonical(sum / fold_sum(partial(m, h, 1)));
    });
  }

 private:
  GENFAST_HD int64_t position(int64_t m) const { return (begin_ + m) / b_.rows; }
  GENFAST_HD int64_t row(int64_t m) const { return (begin_ + m) % b_.rows; }
  GENFAST_HD const int32_t* seen_at(int64_t m) const { return b_.program.places + a_.seen + 2 * position(m); }
  GENFAST_HD int64_t seen(int64_t m) const { return seen_at(m)[1]; }
  // The j-th of the keys seen.
  GENFAST_HD int64_t key(int64_t m, int64_t j) const {
    const int64_t first = seen_at(m)[0];
    return a_.listed ? b_.program.places[first + j] : first + j;
  }
  GENFAST_HD float* scores(int64_t m, int64_t h) const { return b_.scratch + (m * a_.heads + h) * (padded_ + 2 * kLanes); }
  GENFAST_HD float* partial(int64_t m, int64_t h, int which) const { return scores(m, h) + padded_ + which * kLanes; }

  template <class F>
  GENFAST_HD void each_lane(int64_t count, const F& f) {
    exec_.each(count * a_.heads * kLanes,
               [&](int64_t item) { f(item / kLanes / a_.heads, item / kLanes % a_.heads, item % kLanes); });
  }

  GENFAST_HD float score(int64_t m, int64_t h, int64_t j) const {
    const int64_t at = key(m, j);
    const float* q = b_.read(a_.q, position(m), row(m)) + h * a_.q_step;
    const float* k = b_.read(a_.k, at, row(m)) + h / shared_ * a_.k_step;
    float lanes[kLanes];
    for (int i = 0; i < kLanes; ++i) lanes[i] = 0.0f;
    int64_t d = 0;
    for (; d + kLanes <= a_.dim; d += kLanes)
      for (int i = 0; i < kLanes; ++i) lanes[i] = numerics::fma(q[d + i], k[d + i], lanes[i]);
    for (int i = 0; i < kLanes; ++i)
      if (d + i < a_.dim) lanes[i] = numerics::fma(q[d + i], k[d + i], lanes[i]);
    float s = fold_sum(lanes) * a_.scale;
    if (a_.bias >= 0) {
      const int64_t p = b_.program.places[a_.position_of_bias + position(m)];
      s = s + b_.program.floats()[a_.bias + h * a_.bias_step + p * a_.keys + at];
    }
    return s;
  }

  Executor& exec_;
  const Block& b_;
  const AttendCommand& a_;
  const int64_t padded_, shared_;
  int64_t begin_ = 0;
};

template <class Executor>
GENFAST_CALL void run_attend(Executor& exec, const Block& b, const Command& command) {
  const AttendCommand& attend = b.program.attends[command.index];
  int64_t most = 1;
  for (int64_t i = 0; i < command.positions; ++i) {
    const int64_t seen = b.program.places[attend.seen + 2 * i + 1];
    most = seen > most ? seen : most;
  }
  const int64_t all = command.positions * b.rows, together = b.scratch_floats / attend_scratch(attend.heads, most);
  AttendPhases<Executor> phases(exec, b, command, most);
  for (int64_t begin = 0; begin < all; begin += together) phases.run(begin, begin + together < all ? together : all - begin);
}

}  // namespace cuda
}  // namespace genfast
