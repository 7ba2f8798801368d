// The head of a model with categorical levels: inverse CDF and log probability of rows of f32 logits (logits-inl.h).
// Included once per target by all-inl.h.
#include "numerics/intervals.h"

namespace genfast {
namespace GENFAST_NS {
namespace {

template <Divide divide>
int64_t sample_rows(int32_t* level, const float* logits, int64_t stride, const double* u, float temperature, int64_t rows,
                    int64_t n) {
  int64_t r = 0;
  if (n <= kTogether) {
    alignas(64) double marks[kTogetherMarks];
    for (; r + 8 <= rows; r += 8) {
      const Together<divide> together(logits + r * stride, stride, &temperature, 0, n);
      sample_together(level + r, together, together.accumulate(marks), marks, u + r);
    }
  }
  for (; r < rows; ++r) sample_alone(level + r, make_row<LogitsF32, divide>(logits + r * stride, n, temperature), u + r, 1);
  for (r = 0; r < rows; ++r)
    if (level[r] < 0) return r;
  return -1;
}

template <Divide divide>
int64_t score_rows(double* log_prob, const float* logits, int64_t stride, const int32_t* level, float temperature, int64_t rows,
                   int64_t n) {
  int64_t bad = -1;
  const auto score = [&](int64_t r, float m, double total) __attribute__((always_inline)) {
    const double mine = static_cast<double>(logits[r * stride + level[r]] / temperature);
    log_prob[r] += (mine - static_cast<double>(m)) - numerics::log_f64(total);
    if (bad < 0 && !(total == total)) bad = r;
  };
  int64_t r = 0;
  if (n <= kTogether) {
    for (; r + 8 <= rows; r += 8) {
      const Together<divide> together(logits + r * stride, stride, &temperature, 0, n);
      alignas(64) double marks[kTogetherMarks], total[8];
      together.accumulate(marks).store(total);
      for (int i = 0; i < 8; ++i) score(r + i, together.row[i].m, total[i]);
    }
  }
  double marks[1];
  for (; r < rows; ++r) {
    const auto row = make_row<LogitsF32, divide>(logits + r * stride, n, temperature);
    score(r, row.m, accumulate(row, 0, n, 0.0, INT64_MAX, marks));
  }
  return bad;
}

template <Divide divide>
int64_t interval_rows(double* lower, double* upper, const float* logits, int64_t stride, const int32_t* level, float temperature,
                      int64_t rows, int64_t n) {
  constexpr int64_t kNoMarks = INT64_MAX / 2;
  int64_t bad = -1;
  for (int64_t r = 0; r < rows; ++r) {
    const auto row = make_row<LogitsF32, divide>(logits + r * stride, n, temperature);
    const int64_t begin = level[r] / kBlock * kBlock, end = begin + kBlock < n ? begin + kBlock : n;
    double marks[1];
    const double before = accumulate(row, 0, begin, 0.0, kNoMarks, marks),
                 after = accumulate(row, begin, end, before, kNoMarks, marks),
                 total = accumulate(row, end, n, after, kNoMarks, marks);
    if (!(total == total)) {
      lower[r] = upper[r] = __builtin_nan("");
      if (bad < 0) bad = r;
      continue;
    }
    // Inside its block a level reaches from one running sum of weights to the next; the first and the last to the block's ends.
    const auto w = weights_of(row.last_block(begin));
    alignas(64) double weight[16];
    low_half(w).store(weight);
    high_half(w).store(weight + 8);
    const int64_t mine = level[r] - begin, last = last_possible(w);
    double from = before, to = before, running = before;
    for (int64_t i = 0; i <= mine; ++i) {
      running += weight[i];
      from = to;
      to = running < after ? running : after;
    }
    if (mine == last) to = after;
    if (mine > last) from = to = after;
    lower[r] = numerics::last_uniform(from, total);
    upper[r] = numerics::last_uniform(to, total);
  }
  return bad;
}

int64_t categorical(int32_t* level, const float* logits, int64_t stride, const double* u, float temperature, int64_t rows,
                    int64_t columns) {
  return temperature == 1.0f ? sample_rows<Divide::never>(level, logits, stride, u, 1.0f, rows, columns)
                             : sample_rows<Divide::always>(level, logits, stride, u, temperature, rows, columns);
}

int64_t categorical_log_prob(double* log_prob, const float* logits, int64_t stride, const int32_t* level, float temperature,
                             int64_t rows, int64_t columns) {
  return temperature == 1.0f ? score_rows<Divide::never>(log_prob, logits, stride, level, 1.0f, rows, columns)
                             : score_rows<Divide::always>(log_prob, logits, stride, level, temperature, rows, columns);
}

int64_t categorical_interval(double* lower, double* upper, const float* logits, int64_t stride, const int32_t* level,
                             float temperature, int64_t rows, int64_t columns) {
  return temperature == 1.0f ? interval_rows<Divide::never>(lower, upper, logits, stride, level, 1.0f, rows, columns)
                             : interval_rows<Divide::always>(lower, upper, logits, stride, level, temperature, rows, columns);
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
