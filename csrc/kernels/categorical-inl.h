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

template <class Scale>
GENFAST_INLINE float tempered_max(const float* logits, int64_t n, const Scale& z) {
  const float none = -__builtin_inff();
  f32x16 a(none), b(none), c(none), d(none);
  int64_t k = 0;
  for (; k + 64 <= n; k += 64) {
    a = max(z(f32x16::load(logits + k)), a);
    b = max(z(f32x16::load(logits + k + 16)), b);
    c = max(z(f32x16::load(logits + k + 32)), c);
    d = max(z(f32x16::load(logits + k + 48)), d);
  }
  for (; k < n; k += 16) a = max(z(f32x16::load_n(logits + k, n - k, none)), a);
  return fold_max(max(max(a, b), max(c, d)));
}

GENFAST_INLINE double block_sum(f32x16 e) { return fold_sum(widen_low(e) + widen_high(e)); }

// Fills e (16 floats a block, zeros past the end) and the running sum after each block; returns the total, which is NaN if a
// logit is. `largest` is the maximum of z.
template <class Scale>
GENFAST_INLINE double fill_weights(const float* logits, int64_t n, const Scale& z, float largest, float* e, double* prefix) {
  const f32x16 m(largest);
  double running = 0.0;
  int64_t k = 0;
  for (; k + 16 <= n; k += 16) {
    const f32x16 w = numerics::exp_nonpositive_f32(z(f32x16::load(logits + k)) - m);
    w.store(e + k);
    prefix[k / 16] = running += block_sum(w);
  }
  if (k < n) {
    const f32x16 w = numerics::exp_nonpositive_f32(z(f32x16::load_n(logits + k, n - k, -__builtin_inff())) - m);
    w.store(e + k);
    prefix[k / 16] = running += block_sum(w);
  }
  return running;
}

GENFAST_INLINE int32_t find_level(double u, double total, const float* e, const double* prefix, int64_t n) {
  const double target = u * total;
  const int64_t blocks = (n + 15) / 16;
  // A block whose prefix is the first to reach the target has added to it, unless the target is 0: hence "and prefix > 0".
  int64_t block = 0;
  for (; block + 8 <= blocks; block += 8) {
    const f64x8 p = f64x8::load(prefix + block);
    const uint32_t hit = mask_bits(p >= f64x8(target)) & mask_bits(p > f64x8(0.0));
    if (hit) {
      block += __builtin_ctz(hit);
      goto found;
    }
  }
  for (; block < blocks - 1; ++block)
    if (prefix[block] >= target && prefix[block] > 0.0) break;
found:
  double running = block ? prefix[block - 1] : 0.0;
  const float* w = e + 16 * block;
  int last = 0;
  for (int i = 0; i < 16; ++i) {
    if (!(w[i] > 0.0f)) continue;
    running += static_cast<double>(w[i]);
    last = i;
    if (running >= target) break;
  }
  return static_cast<int32_t>(16 * block + last);
}

template <class Scale>
GENFAST_INLINE int64_t sample_rows(int32_t* level, const float* logits, int64_t stride, const double* u, const Scale& z,
                                   int64_t rows, int64_t n, float* e, double* prefix) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = logits + r * stride;
    const float largest = tempered_max(row, n, z);
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
    const float largest = tempered_max(row, n, z);
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
  return temperature == 1.0f ? sample_rows(level, logits, stride, u, Tempered<false>{f32x16(1.0f)}, rows, columns, e, prefix)
                             : sample_rows(level, logits, stride, u, Tempered<true>{f32x16(temperature)}, rows, columns, e, prefix);
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
