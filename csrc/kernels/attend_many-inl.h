// Attention of many positions over the same keys: the results of attend, bit for bit. The keys of a head are turned once, so that a
// lane is a key and the sixteen chains of a score are sixteen vectors; the sums over values of four positions go side by side, for
// each is one long chain. Included once per target by all-inl.h, after attend-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

constexpr int kSideBySide = 4;

// Keys of one head and row, sixteen at a time: panel[(i / 16) * dim * 16 + d * 16 + i % 16]. The places past count are 0.
void turn_keys(const AttendManyArgs& a, int64_t offset) {
  for (int64_t i = 0; i < a.count; i += kKeyBlock) {
    float* block = a.panel + i * a.dim;
    const int64_t n = a.count - i < kKeyBlock ? a.count - i : kKeyBlock;
    if (n < kKeyBlock) memset(block, 0, static_cast<size_t>(a.dim * kKeyBlock) * sizeof(float));
    for (int64_t j = 0; j < n; ++j) {
      const float* key = a.k[a.first + i + j] + offset;
      for (int64_t d = 0; d < a.dim; ++d) block[d * kKeyBlock + j] = key[d];
    }
  }
}

// Chain c of sixteen scores. One that no element falls to is +0.
GENFAST_INLINE f32x16 score_chain(const float* q, const float* block, int64_t dim, int64_t c) {
  f32x16 sum(0.0f);
  for (int64_t d = c; d < dim; d += 16) sum = fma(f32x16(q[d]), f32x16::load(block + d * kKeyBlock), sum);
  return sum;
}

// Chains c, c + step, … folded as fold_sum folds lanes.
template <int step>
GENFAST_INLINE f32x16 fold_chains(const float* q, const float* block, int64_t dim, int64_t c) {
  if constexpr (step == 16)
    return score_chain(q, block, dim, c);
  else
    return fold_chains<step * 2>(q, block, dim, c) + fold_chains<step * 2>(q, block, dim, c + step);
}

// As above where dim is at most 8: the upper chains would be +0, which changes no sum of products that began at +0.
template <int step>
GENFAST_INLINE f32x16 fold_short(const float* q, const float* block, int64_t dim, int64_t c) {
  if constexpr (step == 8)
    return score_chain(q, block, dim, c);
  else
    return fold_short<step * 2>(q, block, dim, c) + fold_short<step * 2>(q, block, dim, c + step);
}

// Weights of one position's keys, and their sum.
float many_weights(const AttendManyArgs& a, const float* q, const float* bias, int64_t count, float* scores) {
  const f32x16 scale(a.scale);
  for (int64_t i = 0; i < count; i += kKeyBlock) {
    const float* block = a.panel + i * a.dim;
    f32x16 s = (a.dim <= 8 ? fold_short<1>(q, block, a.dim, 0) : fold_chains<1>(q, block, a.dim, 0)) * scale;
    if (bias) s = s + f32x16::load_n(bias + a.first + i, count - i < kKeyBlock ? count - i : kKeyBlock);
    s.store(scores + i);
  }
  const int64_t padded = round_up(count, kKeyBlock);
  for (int64_t i = count; i < padded; ++i) scores[i] = -__builtin_inff();
  return attend_weights(scores, padded);
}

// out[p][e … e + width) for `positions` of them: one chain each over its keys.
template <int positions>
GENFAST_INLINE void many_values(const AttendManyArgs& a, const float* const* weights, const int64_t* counts, const float* sums,
                                float* const* out, int64_t offset, int64_t width) {
  f32x16 sum[positions];
  int64_t shared = counts[0];
#pragma GCC unroll 4
  for (int p = 0; p < positions; ++p) {
    sum[p] = f32x16(0.0f);
    shared = counts[p] < shared ? counts[p] : shared;
  }
  const float* const* v = a.v + a.first;
  for (int64_t j = 0; j < shared; ++j) {
    const f32x16 value = width == 16 ? f32x16::load(v[j] + offset) : f32x16::load_n(v[j] + offset, width);
#pragma GCC unroll 4
    for (int p = 0; p < positions; ++p) sum[p] = fma(f32x16(weights[p][j]), value, sum[p]);
  }
#pragma GCC unroll 4
  for (int p = 0; p < positions; ++p) {
    for (int64_t j = shared; j < counts[p]; ++j) sum[p] = fma(f32x16(weights[p][j]), f32x16::load_n(v[j] + offset, width), sum[p]);
    numerics::canonical(sum[p] / f32x16(sums[p])).store_n(out[p], width);
  }
}

void attend_many_head(const AttendManyArgs& a, int64_t r, int64_t h) {
  const int64_t padded = round_up(a.count, kKeyBlock), g = h / (a.heads / a.kv_heads);
  const int64_t from = (a.first_row + r) * a.v_stride + g * a.v_step;
  float sums[kSideBySide];
  const float* weights[kSideBySide];
  float* out[kSideBySide];
  for (int64_t p = 0; p < a.positions; p += kSideBySide) {
    const int64_t n = a.positions - p < kSideBySide ? a.positions - p : kSideBySide;
    for (int64_t i = 0; i < n; ++i) {
      const float* bias = a.bias ? a.bias[p + i] + h * a.bias_step : nullptr;
      float* scores = a.scores + i * padded;
      sums[i] = many_weights(a, a.q[p + i] + r * a.q_stride + h * a.q_step, bias, a.counts[p + i], scores);
      weights[i] = scores;
    }
    for (int64_t e = 0; e < a.dim_v; e += 16) {
      const int64_t width = a.dim_v - e < 16 ? a.dim_v - e : 16;
      for (int64_t i = 0; i < n; ++i) out[i] = a.out[p + i] + r * a.out_stride + h * a.dim_v + e;
      if (n == kSideBySide) {
        many_values<kSideBySide>(a, weights, a.counts + p, sums, out, from + e, width);
        continue;
      }
      for (int64_t i = 0; i < n; ++i) many_values<1>(a, weights + i, a.counts + p + i, sums + i, out + i, from + e, width);
    }
  }
}

void attend_many(const AttendManyArgs& a) {
  const int64_t shared = a.heads / a.kv_heads;
  for (int64_t r = 0; r < a.rows; ++r) {
    for (int64_t h = 0; h < a.heads; ++h) {
      if (h % shared == 0) turn_keys(a, (a.first_row + r) * a.k_stride + h / shared * a.k_step);
      attend_many_head(a, r, h);
    }
  }
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
