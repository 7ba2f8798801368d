// Norms, softmaxes and reductions over the channels of a position: sixteen threads a row, thread l for channels l, l + 16, …, sums
// kept apart and folded 8, 4, 2, 1 as in every other target. Called by run_program.h.
#pragma once
#include "cuda/decode/lanes.h"
#include "cuda/decode/program.h"
#include "numerics/exp_log.h"

namespace genfast {
namespace cuda {

// Rows of a command, `count` of them from `begin` on: m / rows is the position. Lane l of row m has two floats of scratch.
template <class Executor>
class RowPhases {
 public:
  GENFAST_HD RowPhases(Executor& exec, const Block& b, const Command& command, int64_t begin, int64_t count)
      : exec_(exec), b_(b), row_(b.program.rows[command.index]), begin_(begin), count_(count) {}

  GENFAST_HD void run() {
    const float* params = b_.program.floats() + row_.params;
    const auto n = static_cast<float>(row_.columns);
    switch (static_cast<RowOp>(row_.op)) {
      case RowOp::layer_norm:
        sums(0, [](float sum, float x) { return sum + x; });
        each_lane([&](int64_t m, int64_t lane) {
          const float mean = fold_sum(partial(m, 0)) / n;
          float sum = 0.0f;
          for (int64_t c = lane; c < row_.columns; c += kLanes) sum = numerics::fma(in(m)[c] - mean, in(m)[c] - mean, sum);
          partial(m, 1)[lane] = sum;
        });
        return each_lane([&](int64_t m, int64_t lane) {
          const float variance = fold_sum(partial(m, 1)) / n;
          normalize(m, lane, fold_sum(partial(m, 0)) / n, 1.0f / numerics::sqrt(variance + params[0]));
        });
      case RowOp::rms_norm:
        sums(0, [](float sum, float x) { return numerics::fma(x, x, sum); });
        return each_lane([&](int64_t m, int64_t lane) {
          normalize(m, lane, 0.0f, 1.0f / numerics::sqrt(fold_sum(partial(m, 0)) / n + params[0]));
        });
      case RowOp::softmax:
        maxima();
        each_lane([&](int64_t m, int64_t lane) {
          const float shift = fold_max(partial(m, 0));
          float sum = 0.0f;
          for (int64_t c = lane; c < row_.columns; c += kLanes) {
            const float w = numerics::canonical(numerics::exp_nonpositive_f32(in(m)[c] - shift));
            out(m)[c] = w;
            sum = sum + w;
          }
          partial(m, 1)[lane] = sum;
        });
        return each_lane([&](int64_t m, int64_t lane) {
          const float factor = 1.0f / fold_sum(partial(m, 1));
          for (int64_t c = lane; c < row_.columns; c += kLanes) out(m)[c] = numerics::canonical(out(m)[c] * factor);
        });
      case RowOp::log_softmax:
        maxima();
        each_lane([&](int64_t m, int64_t lane) {
          const float shift = fold_max(partial(m, 0));
          float sum = 0.0f;
          for (int64_t c = lane; c < row_.columns; c += kLanes) sum = sum + numerics::exp_nonpositive_f32(in(m)[c] - shift);
          partial(m, 1)[lane] = sum;
        });
        return each_lane([&](int64_t m, int64_t lane) {
          const float shift = fold_max(partial(m, 0)), log_total = numerics::log_f32(fold_sum(partial(m, 1)));
          for (int64_t c = lane; c < row_.columns; c += kLanes) out(m)[c] = numerics::canonical((in(m)[c] - shift) - log_total);
        });
      case RowOp::sum:
        sums(0, [](float sum, float x) { return sum + x; });
        return each_row([&](int64_t m) { *out(m) = numerics::canonical(fold_sum(partial(m, 0))); });
      case RowOp::mean:
        sums(0, [](float sum, float x) { return sum + x; });
        return each_row([&](int64_t m) { *out(m) = numerics::canonical(fold_sum(partial(m, 0)) / n); });
      default:  // max
        maxima();
        // A comparison drops a NaN: so ask for each by name.
        sums(1, [](float sum, float x) { return x == x ? sum : x; });
        return each_row([&](int64_t m) {
          const float nan = fold_sum(partial(m, 1));
          *out(m) = nan == nan ? fold_max(partial(m, 0)) : numerics::canonical(nan);
        });
    }
  }

 private:
  GENFAST_HD const float* in(int64_t m) const { return b_.read(row_.in, (begin_ + m) / b_.rows, (begin_ + m) % b_.rows); }
  GENFAST_HD float* out(int64_t m) const { return b_.write(row_.out, (begin_ + m) / b_.rows, (begin_ + m) % b_.rows); }
  GENFAST_HD float* partial(int64_t m, int which) const { return b_.scratch + m * kRowScratch + which * kLanes; }

  template <class F>
  GENFAST_HD void each_lane(const F& f) {
    exec_.each(count_ * kLanes, [&](int64_t item) { f(item / kLanes, item % kLanes); });
  }
  template <class F>
  GENFAST_HD void each_row(const F& f) {
    exec_.each(count_, [&](int64_t item) { f(item); });
  }
  template <class Add>
  GENFAST_HD void sums(int which, const Add& add) {
    each_lane([&](int64_t m, int64_t lane) {
      float sum = 0.0f;
      for (int64_t c = lane; c < row_.columns; c += kLanes) sum = add(sum, in(m)[c]);
      partial(m, which)[lane] = sum;
    });
  }
  GENFAST_HD void maxima() {
    each_lane([&](int64_t m, int64_t lane) {
      float best = -__builtin_inff();
      for (int64_t c = lane; c < row_.columns; c += kLanes) best = numerics::max(best, in(m)[c]);
      partial(m, 0)[lane] = best;
    });
  }
  GENFAST_HD void normalize(int64_t m, int64_t lane, float mean, float inverse) {
    const float* data = b_.program.floats();
    for (int64_t c = lane; c < row_.columns; c += kLanes) {
      const float y = (in(m)[c] - mean) * inverse, w = row_.weight >= 0 ? data[row_.weight + c] : 1.0f;
      out(m)[c] = numerics::canonical(row_.bias >= 0 ? numerics::fma(y, w, data[row_.bias + c]) : y * w);
    }
  }

  Executor& exec_;
  const Block& b_;
  const RowCommand& row_;
  const int64_t begin_, count_;
};

template <class Executor>
GENFAST_CALL void run_row(Executor& exec, const Block& b, const Command& command) {
  const int64_t all = command.positions * b.rows, together = b.scratch_floats / kRowScratch;
  for (int64_t begin = 0; begin < all; begin += together)
    RowPhases<Executor>(exec, b, command, begin, begin + together < all ? together : all - begin).run();
}

}  // namespace cuda
}  // namespace genfast
