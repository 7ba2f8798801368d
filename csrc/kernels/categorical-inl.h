// Rows of logits: the smallest level whose cumulative probability reaches u, and the log probability of a level.
// Exponentials in f32; sums of 16 consecutive categories, their running prefix and u * total in f64, all in a fixed order.
// Included once per target by all-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

constexpr int64_t kBlock = 16;  // categories summed before they join the running sum
constexpr int64_t kStep = 8 * kBlock;
constexpr int64_t kMarks = 1024;     // running sums that a row on its own keeps
constexpr int64_t kTogether = 1024;  // categories up to which eight rows go in step

// A row's categories as weights e^(z - m), with z = logit / temperature and m the largest z. x / 1 is x and not worth the time.
template <bool divide>
struct Row {
  const float* logits;
  int64_t n;
  float temperature, m;
  GENFAST_INLINE_MEMBER f32x16 exponent(f32x16 x) const { return (divide ? x / f32x16(temperature) : x) - f32x16(m); }
  GENFAST_INLINE_MEMBER f32x16 block(int64_t k) const { return exponent(f32x16::load(logits + k)); }
  // Past the end of the row a logit is -inf and a weight 0.
  GENFAST_INLINE_MEMBER f32x16 last_block(int64_t k) const {
    return exponent(f32x16::load_n(logits + k, n - k, -__builtin_inff()));
  }
};

// Division by a positive number keeps order, so the largest logit gives the largest z.
GENFAST_INLINE float largest_logit(const float* logits, int64_t n) {
  const float none = -__builtin_inff();
  f32x16 a(none), b(none), c(none), d(none);
  int64_t k = 0;
  for (; k + 64 <= n; k += 64) {
    a = max(f32x16::load(logits + k), a);
    b = max(f32x16::load(logits + k + 16), b);
    c = max(f32x16::load(logits + k + 32), c);
    d = max(f32x16::load(logits + k + 48), d);
  }
  for (; k < n; k += 16) a = max(f32x16::load_n(logits + k, n - k, none), a);
  return fold_max(max(max(a, b), max(c, d)));
}

// Eight blocks of exponents, each as its f64 sum: lanes i and i + 8, then folds of 4, 2, 1. A few blocks go through the
// exponential side by side, so that their chains of operations overlap.
template <class Exponents>
GENFAST_INLINE f64x8 block_sums(const Exponents& exponents) {
  f64x8 sums[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += kChains) {
    Several<f32x16, kChains> w;
#pragma GCC unroll 8
    for (int j = 0; j < kChains; ++j) w.v[j] = exponents(i + j);
    w = numerics::exp_nonpositive_f32(w);
#pragma GCC unroll 8
    for (int j = 0; j < kChains; ++j) sums[i + j] = widen_low(w.v[j]) + widen_high(w.v[j]);
  }
  return fold_sum8(sums);
}
GENFAST_INLINE double block_sum(f32x16 exponents) {
  const f32x16 w = numerics::exp_nonpositive_f32(exponents);
  return fold_sum(widen_low(w) + widen_high(w));
}

// Raising a target of 0 to the smallest positive number asks for the first category with any weight, and changes no other answer.
constexpr double kLeastTarget = 0x1p-1074;

// Rounding may leave the sum of a block's weights, one by one, short of its block sum: then the last category with weight.
GENFAST_INLINE int last_possible(f32x16 w) { return 31 - __builtin_clz(mask_bits(w > f32x16(0.0f)) | 1u); }

// ---- eight rows in step, a lane each from the block sums on: no row waits for its own running sum or its own search

template <bool divide>
struct Together {
  Row<divide> row[8];

  GENFAST_INLINE_MEMBER Together(const float* logits, int64_t stride, float temperature, int64_t n) {
    const float none = -__builtin_inff();
    f32x16 most[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) most[i] = f32x16(none);
    int64_t k = 0;
    for (; k + kBlock <= n; k += kBlock) {
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) most[i] = max(f32x16::load(logits + i * stride + k), most[i]);
    }
    if (k < n) {
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) most[i] = max(f32x16::load_n(logits + i * stride + k, n - k, none), most[i]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) row[i] = {logits + i * stride, n, temperature, fold_max(most[i]) / temperature};
  }

  // The totals; NaN for a row with a logit that is NaN or +inf, or with no other than -inf. `marks`, if any, gets the running
  // sums before each block, eight rows side by side.
  template <class Mark>
  GENFAST_INLINE_MEMBER f64x8 accumulate(const Mark& mark) const {
    const int64_t n = row[0].n;
    f64x8 running(0.0);
    int64_t k = 0;
    for (; k + kBlock <= n; k += kBlock) {
      mark(k / kBlock, running);
      running = running + block_sums([&](int i) __attribute__((always_inline)) { return row[i].block(k); });
    }
    if (k < n) {
      mark(k / kBlock, running);
      running = running + block_sums([&](int i) __attribute__((always_inline)) { return row[i].last_block(k); });
    }
    return running;
  }
};

// The level of each row, -1 for a row without a distribution.
template <bool divide>
GENFAST_INLINE void sample_together(int32_t* level, const float* logits, int64_t stride, const double* u, float temperature,
                                    int64_t n) {
  const Together<divide> rows(logits, stride, temperature, n);
  alignas(64) double marks[8 * kTogether / kBlock];
  const f64x8 total =
      rows.accumulate([&](int64_t b, f64x8 running) __attribute__((always_inline)) { running.store(marks + 8 * b); });
  const f64x8 product = f64x8::load(u) * total;
  const f64x8 target = select(product > f64x8(0.0), product, f64x8(kLeastTarget));

  const int64_t blocks = (n + kBlock - 1) / kBlock;
  f64x8 below(0.0);
  for (int64_t b = 1; b < blocks; ++b) below = below + select(f64x8::load(marks + 8 * b) < target, f64x8(1.0), f64x8(0.0));
  alignas(64) double block[8], start[8];
  below.store(block);
  f32x16 w[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const int64_t b = static_cast<int64_t>(block[i]);
    start[i] = marks[8 * b + i];
    w[i] = numerics::exp_nonpositive_f32(rows.row[i].last_block(kBlock * b));
  }
  f64x8 running = f64x8::load(start), inside(0.0);
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    f64x8 weight[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) weight[i] = half ? widen_high(w[i]) : widen_low(w[i]);
    transpose8(weight);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      running = running + weight[i];
      inside = inside + select(running < target, f64x8(1.0), f64x8(0.0));
    }
  }
  alignas(64) double in[8];
  inside.store(in);
  const uint32_t good = mask_bits(total == total), past = mask_bits(inside == f64x8(16.0));
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) level[i] = good >> i & 1 ? static_cast<int32_t>(kBlock * block[i] + in[i]) : -1;
  if (past)
    for (int i = 0; i < 8; ++i)
      if (past & good & 1u << i) level[i] += last_possible(w[i]) - 16;
}

// ---- a row on its own, of any length

// Continues the running sum over [begin, end) and marks it after every `unit` categories: 16, or a multiple of 128.
template <bool divide>
GENFAST_INLINE double accumulate(const Row<divide>& row, int64_t begin, int64_t end, double running, int64_t unit, double* marks) {
  int64_t k = begin, next = begin + unit;
  for (; k + kStep <= end; k += kStep) {
    alignas(64) double sums[8];
    block_sums([&](int i) __attribute__((always_inline)) { return row.block(k + kBlock * i); }).store(sums);
    if (unit == kBlock) {
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) *marks++ = running += sums[i];
    } else {
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) running += sums[i];
      if (k + kStep == next) *marks++ = running, next += unit;
    }
  }
  for (; k < end; k += kBlock) {
    running += block_sum(row.last_block(k));
    if (unit == kBlock) *marks++ = running;
  }
  return running;
}

GENFAST_INLINE int64_t unit_for(int64_t n) {
  int64_t unit = n <= kBlock * kMarks ? kBlock : kStep;
  while (unit * kMarks < n) unit *= 2;
  return unit;
}

// The number of marks below the target: counted more than searched, because a branch on u cannot be predicted.
GENFAST_INLINE int64_t count_below(const double* marks, int64_t n, double target) {
  int64_t below = 0;
  while (below + 64 < n && marks[below + 63] < target) below += 64;
  const int64_t end = below + 64 < n ? below + 64 : n;
  for (int64_t b = below; b < end; b += 8)
    below += __builtin_popcount(mask_bits(f64x8::load_n(marks + b, end - b, __builtin_inf()) < f64x8(target)));
  return below;
}

template <bool divide>
GENFAST_INLINE int32_t sample_alone(const float* logits, double u, float temperature, int64_t n) {
  alignas(64) double marks[kMarks];
  const Row<divide> row{logits, n, temperature, largest_logit(logits, n) / temperature};
  int64_t begin = 0, end = n, unit = unit_for(n);
  const double total = accumulate(row, begin, end, 0.0, unit, marks);
  if (!(total == total)) return -1;
  const double product = u * total, target = product > 0.0 ? product : kLeastTarget;
  double running = 0.0;
  for (;;) {
    const int64_t b = count_below(marks, (end - begin - 1) / unit, target);
    if (b) running = marks[b - 1];
    begin += b * unit;
    if (unit == kBlock) break;
    if (end - begin > unit) end = begin + unit;
    unit = unit_for(end - begin);
    accumulate(row, begin, end, running, unit, marks);
  }
  const f32x16 w = numerics::exp_nonpositive_f32(row.last_block(begin));
  alignas(64) double weight[16];
  widen_low(w).store(weight);
  widen_high(w).store(weight + 8);
  int below = 0;
  for (int i = 0; i < 16 && below == i; i += 4) {
#pragma GCC unroll 4
    for (int j = i; j < i + 4; ++j) {
      running += weight[j];
      below += running < target;
    }
  }
  if (below == 16) below = last_possible(w);
  return static_cast<int32_t>(begin + below);
}

// ---- the kernels

template <bool divide>
GENFAST_INLINE int64_t sample_rows(int32_t* level, const float* logits, int64_t stride, const double* u, float temperature,
                                   int64_t rows, int64_t n) {
  int64_t r = 0;
  if (n <= kTogether)
    for (; r + 8 <= rows; r += 8) sample_together<divide>(level + r, logits + r * stride, stride, u + r, temperature, n);
  for (; r < rows; ++r) level[r] = sample_alone<divide>(logits + r * stride, u[r], temperature, n);
  for (r = 0; r < rows; ++r)
    if (level[r] < 0) return r;
  return -1;
}

template <bool divide>
GENFAST_INLINE int64_t score_rows(double* log_prob, const float* logits, int64_t stride, const int32_t* level, float temperature,
                                  int64_t rows, int64_t n) {
  int64_t bad = -1;
  const auto score = [&](int64_t r, float m, double total) __attribute__((always_inline)) {
    const double mine = static_cast<double>(logits[r * stride + level[r]] / temperature);
    log_prob[r] += (mine - static_cast<double>(m)) - numerics::log_f64(total);
    if (bad < 0 && !(total == total)) bad = r;
  };
  int64_t r = 0;
  if (n <= kTogether) {
    for (; r + 8 <= rows; r += 8) {
      const Together<divide> together(logits + r * stride, stride, temperature, n);
      alignas(64) double total[8];
      together.accumulate([](int64_t, f64x8) __attribute__((always_inline)) {}).store(total);
      for (int i = 0; i < 8; ++i) score(r + i, together.row[i].m, total[i]);
    }
  }
  double marks[1];
  for (; r < rows; ++r) {
    const Row<divide> row{logits + r * stride, n, temperature, largest_logit(logits + r * stride, n) / temperature};
    score(r, row.m, accumulate(row, 0, n, 0.0, INT64_MAX, marks));
  }
  return bad;
}

int64_t categorical(int32_t* level, const float* logits, int64_t stride, const double* u, float temperature, int64_t rows,
                    int64_t columns) {
  return temperature == 1.0f ? sample_rows<false>(level, logits, stride, u, 1.0f, rows, columns)
                             : sample_rows<true>(level, logits, stride, u, temperature, rows, columns);
}

int64_t categorical_log_prob(double* log_prob, const float* logits, int64_t stride, const int32_t* level, float temperature,
                             int64_t rows, int64_t columns) {
  return temperature == 1.0f ? score_rows<false>(log_prob, logits, stride, level, 1.0f, rows, columns)
                             : score_rows<true>(log_prob, logits, stride, level, temperature, rows, columns);
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
