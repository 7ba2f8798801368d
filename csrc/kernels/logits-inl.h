// The inverse CDF of rows of logits: eight rows in step, or one row of any length. Exponentials in the precision of the logits;
// sums of 16 consecutive categories, their running prefix and u * total in f64, all in a fixed order. Templates for
// categorical-inl.h and rows-inl.h; no kernel itself.
namespace genfast {
namespace GENFAST_NS {
namespace {

constexpr int64_t kBlock = 16;  // categories summed before they join the running sum
constexpr int64_t kStep = 8 * kBlock;
constexpr int64_t kMarks = 1024;     // running sums that a row on its own keeps
constexpr int64_t kTogether = 4096;  // categories up to which eight rows go in step

using f64x16 = Several<f64x8, 2>;

// Sixteen logits of each kind, in lanes in which their exponentials are taken.
struct LogitsF32 {
  using T = float;
  using Real = float;
  static constexpr Real none = -__builtin_inff();
  using Lanes = f32x16;
  static GENFAST_INLINE_MEMBER Lanes load(const T* p) { return f32x16::load(p); }
  static GENFAST_INLINE_MEMBER Lanes load_n(const T* p, int64_t n, Real fill) { return f32x16::load_n(p, n, fill); }
};
struct LogitsF64 {
  using T = double;
  using Real = double;
  static constexpr Real none = -__builtin_inf();
  using Lanes = f64x16;
  static GENFAST_INLINE_MEMBER Lanes load(const T* p) { return make(f64x8::load(p), f64x8::load(p + 8)); }
  static GENFAST_INLINE_MEMBER Lanes load_n(const T* p, int64_t n, Real fill) {
    return make(f64x8::load_n(p, n, fill), n > 8 ? f64x8::load_n(p + 8, n - 8, fill) : f64x8(fill));
  }
  static GENFAST_INLINE_MEMBER Lanes make(f64x8 low, f64x8 high) {
    Lanes r;
    r.v[0] = low;
    r.v[1] = high;
    return r;
  }
};

GENFAST_INLINE f64x8 low_half(f32x16 w) { return widen_low(w); }
GENFAST_INLINE f64x8 high_half(f32x16 w) { return widen_high(w); }
GENFAST_INLINE f64x8 low_half(f64x16 w) { return w.v[0]; }
GENFAST_INLINE f64x8 high_half(f64x16 w) { return w.v[1]; }
GENFAST_INLINE double fold_max(f64x16 a) {
  alignas(64) double x[8];
  max(a.v[0], a.v[1]).store(x);
  for (int step = 4; step; step /= 2)
    for (int i = 0; i < step; ++i) x[i] = numerics::max(x[i], x[i + step]);
  return x[0];
}
template <int N>
GENFAST_FORMULA Several<f32x16, N> weights_of(Several<f32x16, N> exponents) {
  return numerics::exp_nonpositive_f32(exponents);
}
template <int N>
GENFAST_FORMULA Several<f64x16, N> weights_of(Several<f64x16, N> exponents) {
  return numerics::exp_nonpositive_f64(exponents);
}
GENFAST_FORMULA f32x16 weights_of(f32x16 exponents) { return numerics::exp_nonpositive_f32(exponents); }
GENFAST_FORMULA f64x16 weights_of(f64x16 exponents) { return numerics::exp_nonpositive_f64(exponents); }

// A row's categories as weights e^(z - m), with z = logit / temperature and m the largest z. x / 1 is x and not worth the time:
// Divide is never, always, or decided by `tempered`.
enum class Divide { never, always, maybe };
template <class In, Divide divide>
struct Row {
  using Lanes = typename In::Lanes;
  const typename In::T* logits;
  int64_t n;
  typename In::Real temperature, m;
  bool tempered;
  GENFAST_INLINE_MEMBER Lanes exponent(Lanes x) const {
    if (divide == Divide::always || (divide == Divide::maybe && tempered)) x = x / Lanes(temperature);
    return x - Lanes(m);
  }
  GENFAST_INLINE_MEMBER Lanes block(int64_t k) const { return exponent(In::load(logits + k)); }
  // Past the end of the row a logit is -inf and a weight 0.
  GENFAST_INLINE_MEMBER Lanes last_block(int64_t k) const { return exponent(In::load_n(logits + k, n - k, In::none)); }
};

// Division by a positive number keeps order, so the largest logit gives the largest z.
template <class In>
typename In::Real largest_logit(const typename In::T* logits, int64_t n) {
  using Lanes = typename In::Lanes;
  const typename In::Real none = In::none;
  Lanes a(none), b(none), c(none), d(none);
  int64_t k = 0;
  for (; k + 64 <= n; k += 64) {
    a = max(In::load(logits + k), a);
    b = max(In::load(logits + k + 16), b);
    c = max(In::load(logits + k + 32), c);
    d = max(In::load(logits + k + 48), d);
  }
  for (; k < n; k += 16) a = max(In::load_n(logits + k, n - k, none), a);
  return fold_max(max(max(a, b), max(c, d)));
}
template <class In, Divide divide>
GENFAST_INLINE Row<In, divide> make_row(const typename In::T* logits, int64_t n, typename In::Real temperature) {
  return {logits, n, temperature, largest_logit<In>(logits, n) / temperature, temperature != 1};
}

// Eight blocks of exponents, each as its f64 sum: lanes i and i + 8, then folds of 4, 2, 1. A few blocks go through the
// exponential side by side, so that their chains of operations overlap.
template <class Lanes, class Exponents>
GENFAST_INLINE f64x8 block_sums(const Exponents& exponents) {
  constexpr int chains = sizeof(Lanes) > sizeof(f32x16) && kChains > 1 ? kChains / 2 : kChains;
  f64x8 sums[8];
#pragma GCC unroll kUnroll
  for (int i = 0; i < 8; i += chains) {
    Several<Lanes, chains> w;
#pragma GCC unroll kUnroll
    for (int j = 0; j < chains; ++j) w.v[j] = exponents(i + j);
    w = weights_of(w);
#pragma GCC unroll kUnroll
    for (int j = 0; j < chains; ++j) sums[i + j] = low_half(w.v[j]) + high_half(w.v[j]);
  }
  return fold_sum8(sums);
}
template <class Lanes>
GENFAST_INLINE double block_sum(Lanes exponents) {
  const Lanes w = weights_of(exponents);
  return fold_sum(low_half(w) + high_half(w));
}

// Raising a target of 0 to the smallest positive number asks for the first category with any weight, and changes no other answer.
constexpr double kLeastTarget = 0x1p-1074;

// Rounding may leave the sum of a block's weights, one by one, short of its block sum: then the last category with weight.
template <class Lanes>
GENFAST_INLINE int last_possible(Lanes w) {
  const f64x8 none(0.0);
  return 31 - __builtin_clz(mask_bits(high_half(w) > none) << 8 | mask_bits(low_half(w) > none) | 1u);
}

// ---- eight rows in step, a lane each from the block sums on: no row waits for its own running sum or its own search

template <Divide divide>
struct Together {
  Row<LogitsF32, divide> row[8];

  // temperature: one a row, `own` apart.
  GENFAST_INLINE_MEMBER Together(const float* logits, int64_t stride, const float* temperature, int64_t own, int64_t n) {
    const float none = LogitsF32::none;
    f32x16 most[8];
#pragma GCC unroll kUnroll
    for (int i = 0; i < 8; ++i) most[i] = f32x16(none);
    int64_t k = 0;
    for (; k + kBlock <= n; k += kBlock) {
#pragma GCC unroll kUnroll
      for (int i = 0; i < 8; ++i) most[i] = max(f32x16::load(logits + i * stride + k), most[i]);
    }
    if (k < n) {
#pragma GCC unroll kUnroll
      for (int i = 0; i < 8; ++i) most[i] = max(f32x16::load_n(logits + i * stride + k, n - k, none), most[i]);
    }
#pragma GCC unroll kUnroll
    for (int i = 0; i < 8; ++i)
      row[i] = {logits + i * stride, n, temperature[i * own], fold_max(most[i]) / temperature[i * own], true};
  }

  // The totals; NaN for a row with a logit that is NaN or +inf, or with no other than -inf. marks gets the running sums before
  // each block, eight rows side by side.
  f64x8 accumulate(double* marks) const {
    const int64_t n = row[0].n;
    f64x8 running(0.0);
    int64_t k = 0;
    for (; k + kBlock <= n; k += kBlock, marks += 8) {
      running.store(marks);
      running = running + block_sums<f32x16>([&](int i) __attribute__((always_inline)) { return row[i].block(k); });
    }
    if (k < n) {
      running.store(marks);
      running = running + block_sums<f32x16>([&](int i) __attribute__((always_inline)) { return row[i].last_block(k); });
    }
    return running;
  }
};
constexpr int64_t kTogetherMarks = 8 * kTogether / kBlock;

// The level of each row, -1 for a row without a distribution, from what accumulate left.
template <Divide divide>
void sample_together(int32_t* level, const Together<divide>& rows, f64x8 total, const double* marks, const double* u) {
  const f64x8 product = f64x8::load(u) * total;
  const f64x8 target = select(product > f64x8(0.0), product, f64x8(kLeastTarget));

  const int64_t blocks = (rows.row[0].n + kBlock - 1) / kBlock;
  f64x8 below(0.0);
  for (int64_t b = 1; b < blocks; ++b) below = below + select(f64x8::load(marks + 8 * b) < target, f64x8(1.0), f64x8(0.0));
  alignas(64) double block[8], start[8];
  below.store(block);
  f32x16 w[8];
#pragma GCC unroll kUnroll
  for (int i = 0; i < 8; ++i) {
    const int64_t b = static_cast<int64_t>(block[i]);
    start[i] = marks[8 * b + i];
    w[i] = numerics::exp_nonpositive_f32(rows.row[i].last_block(kBlock * b));
  }
  f64x8 running = f64x8::load(start), inside(0.0);
  for (int half = 0; half < 2; ++half) {
    f64x8 weight[8];
#pragma GCC unroll kUnroll
    for (int i = 0; i < 8; ++i) weight[i] = half ? widen_high(w[i]) : widen_low(w[i]);
    transpose8(weight);
#pragma GCC unroll kUnroll
    for (int i = 0; i < 8; ++i) {
      running = running + weight[i];
      inside = inside + select(running < target, f64x8(1.0), f64x8(0.0));
    }
  }
  alignas(64) double in[8];
  inside.store(in);
  const uint32_t good = mask_bits(total == total), past = mask_bits(inside == f64x8(16.0));
#pragma GCC unroll kUnroll
  for (int i = 0; i < 8; ++i) level[i] = good >> i & 1 ? static_cast<int32_t>(kBlock * block[i] + in[i]) : -1;
  if (past)
    for (int i = 0; i < 8; ++i)
      if (past & good & 1u << i) level[i] += last_possible(w[i]) - 16;
}

// ---- a row on its own, of any length

// Continues the running sum over [begin, end) and marks it after every `unit` categories: 16, or a multiple of 128.
template <class In, Divide divide>
double accumulate(const Row<In, divide>& row, int64_t begin, int64_t end, double running, int64_t unit, double* marks) {
  // Eight block sums join the running sum while the next eight are made: one addition after the other takes its time.
  alignas(64) double sums[8];
  int64_t k = begin, next = begin + unit;
  const auto join = [&]() __attribute__((always_inline)) {
    if (unit == kBlock) {
#pragma GCC unroll kUnroll
      for (int i = 0; i < 8; ++i) *marks++ = running += sums[i];
    } else {
#pragma GCC unroll kUnroll
      for (int i = 0; i < 8; ++i) running += sums[i];
      if (k == next) *marks++ = running, next += unit;
    }
  };
  for (; k + kStep <= end; k += kStep) {
    if (k > begin) join();
    block_sums<typename In::Lanes>([&](int i) __attribute__((always_inline)) { return row.block(k + kBlock * i); }).store(sums);
  }
  if (k > begin) join();
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

// level[d] for u[d], d < draws; -1 in a row without a distribution. Returns the total, which is NaN then: a logit is NaN or +inf,
// or none is other than -inf.
template <class In, Divide divide>
double sample_alone(int32_t* level, const Row<In, divide>& row, const double* u, int64_t draws) {
  alignas(64) double outer[kMarks], inner[kMarks];
  const int64_t whole = unit_for(row.n);
  const double total = accumulate(row, 0, row.n, 0.0, whole, outer);
  for (int64_t d = 0; d < draws; ++d) {
    if (!(total == total)) {
      level[d] = -1;
      continue;
    }
    const double product = u[d] * total, target = product > 0.0 ? product : kLeastTarget;
    double running = 0.0;
    int64_t begin = 0, end = row.n, unit = whole;
    const double* marks = outer;
    for (;;) {
      const int64_t b = count_below(marks, (end - begin - 1) / unit, target);
      if (b) running = marks[b - 1];
      begin += b * unit;
      if (unit == kBlock) break;
      if (end - begin > unit) end = begin + unit;
      unit = unit_for(end - begin);
      accumulate(row, begin, end, running, unit, inner);
      marks = inner;
    }
    const auto w = weights_of(row.last_block(begin));
    alignas(64) double weight[16];
    low_half(w).store(weight);
    high_half(w).store(weight + 8);
    int below = 0;
    for (int i = 0; i < 16 && below == i; i += 4) {
#pragma GCC unroll 4
      for (int j = i; j < i + 4; ++j) {
        running += weight[j];
        below += running < target;
      }
    }
    if (below == 16) below = last_possible(w);
    level[d] = static_cast<int32_t>(begin + below);
  }
  return total;
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
