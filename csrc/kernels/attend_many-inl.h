// Attention of many positions over the same keys: the results of attend, bit for bit. The keys of a head are turned once, so that a
// lane is a key and the sixteen chains of a score are sixteen vectors; its values are put side by side, for where they lie few sets
// of a cache may hold them all. The sums over values of four positions go together: each is one long
// chain. Included once per target by all-inl.h, after attend-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

constexpr int kSideBySide = 4;

// Keys and values of one head and row. Keys sixteen at a time: panel[(i / 16) * dim * 16 + d * 16 + i % 16]. The places past count
// are 0.
void turn_keys(const AttendManyArgs& a, int64_t offset, int64_t value_offset) {
  for (int64_t j = 0; j < a.count; ++j)
    memcpy(a.values + j * a.dim_v, a.v[a.first + j] + value_offset, static_cast<size_t>(a.dim_v) * sizeof(float));
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

// The scores of sixteen keys for each of kSideBySide positions: chains c, c + step, … of them, folded as fold_sum folds lanes.
// There are `chains` of these: 8 where dim is at most 8, for the others would be +0, which changes no sum of products that began at
// +0. `turns`: elements of each chain, or 0 where that is to be found out.
template <int chains, int step, int turns>
GENFAST_INLINE void fold_chains(const float* const* q, const float* block, int64_t dim, int64_t c, f32x16* out) {
  if constexpr (step == chains) {
#pragma GCC unroll 4
    for (int i = 0; i < kSideBySide; ++i) out[i] = f32x16(0.0f);
    const auto add = [&](int64_t d) {
      const f32x16 key = f32x16::load(block + d * kKeyBlock);
#pragma GCC unroll 4
      for (int i = 0; i < kSideBySide; ++i) out[i] = fma(f32x16(q[i][d]), key, out[i]);
    };
    if constexpr (turns > 0) {
#pragma GCC unroll 4
      for (int t = 0; t < turns; ++t) add(c + t * chains);
    } else {
      for (int64_t d = c; d < dim; d += chains) add(d);
    }
  } else {
    f32x16 other[kSideBySide];
    fold_chains<chains, step * 2, turns>(q, block, dim, c, out);
    fold_chains<chains, step * 2, turns>(q, block, dim, c + step, other);
#pragma GCC unroll 4
    for (int i = 0; i < kSideBySide; ++i) out[i] = out[i] + other[i];
  }
}

// Scores of the keys [i, i + 16) of as many positions as see them.
template <int chains, int turns>
void many_scores(const AttendManyArgs& a, const float* const* q, const float* const* bias, const int64_t* counts, int64_t most,
                 float* const* scores) {
  const f32x16 scale(a.scale);
  for (int64_t i = 0; i < most; i += kKeyBlock) {
    f32x16 s[kSideBySide];
    fold_chains<chains, 1, turns>(q, a.panel + i * a.dim, a.dim, 0, s);
#pragma GCC unroll 4
    for (int p = 0; p < kSideBySide; ++p) {
      if (i >= counts[p]) continue;
      f32x16 score = s[p] * scale;
      if (a.bias) score = score + f32x16::load_n(bias[p] + a.first + i, counts[p] - i < kKeyBlock ? counts[p] - i : kKeyBlock);
      score.store(scores[p] + i);
    }
  }
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
  const float* v = a.values + offset;
  for (int64_t j = 0; j < shared; ++j) {
    const f32x16 value = width == 16 ? f32x16::load(v + j * a.dim_v) : f32x16::load_n(v + j * a.dim_v, width);
#pragma GCC unroll 4
    for (int p = 0; p < positions; ++p) sum[p] = fma(f32x16(weights[p][j]), value, sum[p]);
  }
#pragma GCC unroll 4
  for (int p = 0; p < positions; ++p) {
    for (int64_t j = shared; j < counts[p]; ++j)
      sum[p] = fma(f32x16(weights[p][j]), f32x16::load_n(v + j * a.dim_v, width), sum[p]);
    numerics::canonical(sum[p] / f32x16(sums[p])).store_n(out[p], width);
  }
}

void attend_many_head(const AttendManyArgs& a, int64_t r, int64_t h) {
  const int64_t padded = round_up(a.count, kKeyBlock);
  for (int64_t p = 0; p < a.positions; p += kSideBySide) {
    const int64_t n = a.positions - p < kSideBySide ? a.positions - p : kSideBySide;
    const float *q[kSideBySide], *bias[kSideBySide];
    float *scores[kSideBySide], *out[kSideBySide], sums[kSideBySide];
    int64_t counts[kSideBySide], most = 0;
    for (int64_t i = 0; i < kSideBySide; ++i) {  // the last ones again where there are fewer: computed and thrown away
      const int64_t at = p + (i < n ? i : n - 1);
      q[i] = a.q[at] + r * a.q_stride + h * a.q_step;
      bias[i] = a.bias ? a.bias[at] + h * a.bias_step : nullptr;
      scores[i] = a.scores + i * padded;
      counts[i] = a.counts[at];
      most = counts[i] > most ? counts[i] : most;
    }
    switch (a.dim) {
      case 8:
        many_scores<8, 1>(a, q, bias, counts, most, scores);
        break;
      case 16:
        many_scores<16, 1>(a, q, bias, counts, most, scores);
        break;
      case 32:
        many_scores<16, 2>(a, q, bias, counts, most, scores);
        break;
      case 64:
        many_scores<16, 4>(a, q, bias, counts, most, scores);
        break;
      default:
        (a.dim < 8 ? many_scores<8, 0> : many_scores<16, 0>)(a, q, bias, counts, most, scores);
    }
    for (int64_t i = 0; i < n; ++i) {
      const int64_t end = round_up(counts[i], kKeyBlock);
      for (int64_t j = counts[i]; j < end; ++j) scores[i][j] = -__builtin_inff();
      sums[i] = attend_weights(scores[i], end);
    }
    for (int64_t e = 0; e < a.dim_v; e += 16) {
      const int64_t width = a.dim_v - e < 16 ? a.dim_v - e : 16;
      for (int64_t i = 0; i < n; ++i) out[i] = a.out[p + i] + r * a.out_stride + h * a.dim_v + e;
      if (n == kSideBySide) {
        many_values<kSideBySide>(a, scores, counts, sums, out, e, width);
        continue;
      }
      for (int64_t i = 0; i < n; ++i) many_values<1>(a, scores + i, counts + i, sums + i, out + i, e, width);
    }
  }
}

void attend_many(const AttendManyArgs& a) {
  const int64_t shared = a.heads / a.kv_heads;
  for (int64_t r = 0; r < a.rows; ++r) {
    for (int64_t h = 0; h < a.heads; ++h) {
      if (h % shared == 0)
        turn_keys(a, (a.first_row + r) * a.k_stride + h / shared * a.k_step,
                  (a.first_row + r) * a.v_stride + h / shared * a.v_step);
      attend_many_head(a, r, h);
    }
  }
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
