// Rows of logits: the smallest level whose cumulative probability reaches u, and the log probability of a level.
// Exponentials in f32; sums of 16 consecutive categories, their running prefix and u * total in f64, all in a fixed order.
// Included once per target by all-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

// z = logit / temperature, where x / 1 is x and not worth the time.
template <bool divide>
struct Tempered {
  f32x16 temperature;
  GENFAST_INLINE_MEMBER f32x16 operator()(f32x16 x) const { return divide ? x / temperature : x; }
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

// Fills e (16 floats a block, zeros past the end) and the running sum after each block; returns the total, which is NaN if a
// logit is. A block sum widens to f64, adds lanes i and i + 8, and folds 4, 2, 1; eight blocks are folded at once.
template <class Scale>
GENFAST_INLINE double fill_weights(const float* logits, int64_t n, const Scale& z, float largest, float* e, double* prefix) {
  const f32x16 m(largest);
  double running = 0.0;
  int64_t k = 0;
  for (; k + 128 <= n; k += 128) {
    f64x8 sums[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      const f32x16 w = numerics::exp_nonpositive_f32(z(f32x16::load(logits + k + 16 * i)) - m);
      w.store(e + k + 16 * i);
      sums[i] = widen_low(w) + widen_high(w);
    }
    alignas(64) double folded[8];
    fold_sum8(sums).store(folded);
    for (int i = 0; i < 8; ++i) prefix[k / 16 + i] = running += folded[i];
  }
  for (; k < n; k += 16) {
    const f32x16 w = numerics::exp_nonpositive_f32(z(f32x16::load_n(logits + k, n - k, -__builtin_inff())) - m);
    w.store(e + k);
    prefix[k / 16] = running += fold_sum(widen_low(w) + widen_high(w));
  }
  return running;
}

// The first block whose prefix reaches the target, then the first category in it whose running sum does. Both are counted
// more than searched, because a branch on u cannot be predicted. Raising a target of 0 to the smallest positive number asks
// for the first category with any weight, and changes no other answer.
GENFAST_INLINE int32_t find_level(double u, double total, const float* e, const double* prefix, int64_t n) {
  const double product = u * total, target = product > 0.0 ? product : 0x1p-1074;
  const int64_t blocks = (n + 15) / 16;
  int64_t block = 0;
  while (block + 64 < blocks && prefix[block + 63] < target) block += 64;
  const int64_t end = block + 64 < blocks ? block + 64 : blocks;
  for (int64_t b = block; b < end; b += 8)
    block += __builtin_popcount(mask_bits(f64x8::load_n(prefix + b, end - b, __builtin_inf()) < f64x8(target)));
  if (block >= blocks) block = blocks - 1;  // only for a u above 1

  double running = block ? prefix[block - 1] : 0.0;
  const float* w = e + 16 * block;
  int below = 0;
  for (int i = 0; i < 16 && below == i; i += 4) {
#pragma GCC unroll 4
    for (int j = i; j < i + 4; ++j) {
      running += static_cast<double>(w[j]);
      below += running < target;
    }
  }
  // Rounding may leave this sum short of the block's: then the last category with weight.
  if (below == 16) below = 31 - __builtin_clz(mask_bits(f32x16::load(w) > f32x16(0.0f)) | 1u);
  return static_cast<int32_t>(16 * block + below);
}

template <class Scale>
GENFAST_INLINE int64_t sample_rows(int32_t* level, const float* logits, int64_t stride, const double* u, const Scale& z,
                                   float temperature, int64_t rows, int64_t n, float* e, double* prefix) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = logits + r * stride;
    const float largest = largest_logit(row, n) / temperature;
    if (!(numerics::abs(largest) < __builtin_inff())) return r;
    const double total = fill_weights(row, n, z, largest, e, prefix);
    if (!(total == total)) return r;
    level[r] = find_level(u[r], total, e, prefix, n);
  }
  return -1;
}

template <class Scale>
GENFAST_INLINE int64_t score_rows(double* log_prob, const float* logits, int64_t stride, const int32_t* level, const Scale& z,
                                  float temperature, int64_t rows, int64_t n, float* e, double* prefix) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = logits + r * stride;
    const float largest = largest_logit(row, n) / temperature;
    if (!(numerics::abs(largest) < __builtin_inff())) return r;
    const double total = fill_weights(row, n, z, largest, e, prefix);
    if (!(total == total)) return r;
    const double mine = static_cast<double>(row[level[r]] / temperature);
    log_prob[r] += (mine - static_cast<double>(largest)) - numerics::log_f64(total);
  }
  return -1;
}

GENFAST_INLINE double* prefix_of(void* scratch, int64_t columns) {
  return reinterpret_cast<double*>(static_cast<float*>(scratch) + (columns + 15) / 16 * 16);
}

int64_t categorical(int32_t* level, const float* logits, int64_t stride, const double* u, float temperature, int64_t rows,
                    int64_t columns, void* scratch) {
  float* e = static_cast<float*>(scratch);
  double* prefix = prefix_of(scratch, columns);
  return temperature == 1.0f
             ? sample_rows(level, logits, stride, u, Tempered<false>{f32x16(1.0f)}, 1.0f, rows, columns, e, prefix)
             : sample_rows(level, logits, stride, u, Tempered<true>{f32x16(temperature)}, temperature, rows, columns, e, prefix);
}

int64_t categorical_log_prob(double* log_prob, const float* logits, int64_t stride, const int32_t* level, float temperature,
                             int64_t rows, int64_t columns, void* scratch) {
  float* e = static_cast<float*>(scratch);
  double* prefix = prefix_of(scratch, columns);
  return temperature == 1.0f
             ? score_rows(log_prob, logits, stride, level, Tempered<false>{f32x16(1.0f)}, 1.0f, rows, columns, e, prefix)
             : score_rows(log_prob, logits, stride, level, Tempered<true>{f32x16(temperature)}, temperature, rows, columns, e,
                          prefix);
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
