// Attention of one position over the keys it sees, all heads and rows: docs/format.md "Attend". Sixteen keys at a time, and within
// them head after head, so that a cache of keys or values is read once, in the order it lies in memory. Included once per target by
// all-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

constexpr int64_t kKeyBlock = 16;

// Where row 0 of the keys [i, i + n) of those seen starts, moved by `offset`. The places past n repeat a key, to be computed and
// thrown away.
struct KeyBlock {
  const float* at[kKeyBlock];
  GENFAST_INLINE_MEMBER KeyBlock(const AttendArgs& a, const float* const* of, int64_t offset, int64_t i, int64_t n) {
    for (int64_t j = 0; j < kKeyBlock; ++j) {
      const int64_t nth = i + (j < n ? j : 0);
      at[j] = of[a.visible ? a.visible[nth] : a.first + nth] + offset;
    }
  }
};

// Lane j of the result is q . k[j][offset …].
GENFAST_INLINE f32x16 attend_dots(const float* q, const KeyBlock& k, int64_t offset, int64_t dim) {
  constexpr int together = 4;
  f32x16 sum[kKeyBlock];
#pragma GCC unroll 4
  for (int j = 0; j < kKeyBlock; j += together) {
    const float* key[together];
    f32x16 chain[together];
#pragma GCC unroll 4
    for (int i = 0; i < together; ++i) {
      key[i] = k.at[j + i] + offset;
      chain[i] = f32x16(0.0f);
    }
    int64_t d = 0;
    for (; d + 16 <= dim; d += 16) {
      const f32x16 x = f32x16::load(q + d);
#pragma GCC unroll 4
      for (int i = 0; i < together; ++i) chain[i] = fma(x, f32x16::load(key[i] + d), chain[i]);
    }
    if (d < dim) {
      const f32x16 x = f32x16::load_n(q + d, dim - d);
#pragma GCC unroll 4
      for (int i = 0; i < together; ++i) chain[i] = fma(x, f32x16::load_n(key[i] + d, dim - d), chain[i]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < together; ++i) sum[j + i] = chain[i];
  }
  return fold_sum16(sum);
}

GENFAST_INLINE f32x16 attend_bias(const AttendArgs& a, const float* bias, int64_t i, int64_t n) {
  if (!a.visible) return f32x16::load_n(bias + a.first + i, n);
  alignas(64) float lanes[kKeyBlock] = {};
  for (int64_t j = 0; j < n; ++j) lanes[j] = bias[a.visible[i + j]];
  return f32x16::load(lanes);
}

// to[0 … vectors * 16) += weight[j] * v[j][offset …] for j < n, one chain an element.
template <int vectors>
GENFAST_INLINE void attend_values(float* to, const float* weight, const KeyBlock& v, int64_t offset, int64_t n, bool fresh) {
  f32x16 sum[vectors];
#pragma GCC unroll 4
  for (int i = 0; i < vectors; ++i) sum[i] = fresh ? f32x16(0.0f) : f32x16::load(to + 16 * i);
  for (int64_t j = 0; j < n; ++j) {
    const f32x16 w(weight[j]);
    const float* value = v.at[j] + offset;
#pragma GCC unroll 4
    for (int i = 0; i < vectors; ++i) sum[i] = fma(w, f32x16::load(value + 16 * i), sum[i]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < vectors; ++i) sum[i].store(to + 16 * i);
}

GENFAST_INLINE void attend_last_values(float* to, const float* weight, const KeyBlock& v, int64_t offset, int64_t n, bool fresh,
                                       int64_t width) {
  f32x16 sum = fresh ? f32x16(0.0f) : f32x16::load_n(to, width);
  for (int64_t j = 0; j < n; ++j) sum = fma(f32x16(weight[j]), f32x16::load_n(v.at[j] + offset, width), sum);
  sum.store_n(to, width);
}

// Scores become weights e^(s - max s); returns their sum. What pads the last vector is -inf, and its weight +0.
GENFAST_INLINE float attend_weights(float* scores, int64_t padded) {
  f32x16 best(-__builtin_inff()), sum(0.0f);
  for (int64_t i = 0; i < padded; i += kKeyBlock) best = max(best, f32x16::load(scores + i));
  const f32x16 shift(fold_max(best));
  for (int64_t i = 0; i < padded; i += kKeyBlock) {
    const f32x16 w = numerics::exp_nonpositive_f32(f32x16::load(scores + i) - shift);
    w.store(scores + i);
    sum = sum + w;
  }
  return fold_sum(sum);
}

// Heads [h_begin, h_end) of row r.
void attend_heads(const AttendArgs& a, int64_t r, int64_t h_begin, int64_t h_end) {
  const int64_t padded = round_up(a.count, kKeyBlock), shared = a.heads / a.kv_heads;
  const float* q = a.q + r * a.q_stride;
  float* out = a.out + r * a.out_stride;
  for (int64_t i = 0; i < a.count; i += kKeyBlock) {
    const int64_t n = a.count - i < kKeyBlock ? a.count - i : kKeyBlock;
    const KeyBlock k(a, a.k, (a.first_row + r) * a.k_stride, i, n);
    for (int64_t h = h_begin; h < h_end; ++h) {
      f32x16 s = attend_dots(q + h * a.q_step, k, h / shared * a.k_step, a.dim) * f32x16(a.scale);
      if (a.bias) s = s + attend_bias(a, a.bias + h * a.bias_step, i, n);
      float* scores = a.scores + (h - h_begin) * padded + i;
      s.store(scores);
      for (int64_t j = n; j < kKeyBlock; ++j) scores[j] = -__builtin_inff();
    }
  }
  float* sums = a.scores + (h_end - h_begin) * padded;
  for (int64_t h = h_begin; h < h_end; ++h) sums[h - h_begin] = attend_weights(a.scores + (h - h_begin) * padded, padded);
  for (int64_t i = 0; i < a.count; i += kKeyBlock) {
    const int64_t n = a.count - i < kKeyBlock ? a.count - i : kKeyBlock;
    const KeyBlock v(a, a.v, (a.first_row + r) * a.v_stride, i, n);
    for (int64_t h = h_begin; h < h_end; ++h) {
      const float* weight = a.scores + (h - h_begin) * padded + i;
      float* to = out + h * a.dim_v;
      const int64_t from = h / shared * a.v_step;
      int64_t e = 0;
      for (; e + 64 <= a.dim_v; e += 64) attend_values<4>(to + e, weight, v, from + e, n, i == 0);
      for (; e + 16 <= a.dim_v; e += 16) attend_values<1>(to + e, weight, v, from + e, n, i == 0);
      if (e < a.dim_v) attend_last_values(to + e, weight, v, from + e, n, i == 0, a.dim_v - e);
    }
  }
  for (int64_t h = h_begin; h < h_end; ++h) {
    float* to = out + h * a.dim_v;
    const f32x16 sum(sums[h - h_begin]);
    int64_t e = 0;
    for (; e + 16 <= a.dim_v; e += 16) numerics::canonical(f32x16::load(to + e) / sum).store(to + e);
    if (e < a.dim_v) numerics::canonical(f32x16::load_n(to + e, a.dim_v - e) / sum).store_n(to + e, a.dim_v - e);
  }
}

void attend(const AttendArgs& a) {
  const int64_t per_head = attend_scores(a.count);
  const int64_t most = a.scores_size / per_head, slice = most < 1 ? 1 : most < a.heads ? most : a.heads;
  for (int64_t r = 0; r < a.rows; ++r) {
    if (a.count == 0) {
      memset(a.out + r * a.out_stride, 0, static_cast<size_t>(a.heads * a.dim_v) * sizeof(float));
      continue;
    }
    for (int64_t h = 0; h < a.heads; h += slice) attend_heads(a, r, h, h + slice < a.heads ? h + slice : a.heads);
  }
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
