// Sixteen float lanes and eight double lanes in one zmm register each. Included by targets/avx512.cc, inside its target pragma.
// Same names and lane-by-lane meaning as simd_avx2-inl.h and simd_scalar-inl.h.
#include "numerics/activations.h"

namespace genfast {
namespace avx512 {
namespace {

using m32x16 = __mmask16;
using m64x8 = __mmask8;

// Lanes [0, n) set, for any n.
GENFAST_INLINE __mmask16 first_lanes(int64_t n) { return static_cast<__mmask16>(n >= 16 ? 0xffffu : (1u << n) - 1u); }

struct f32x16 {
  __m512 v;
  f32x16() = default;
  GENFAST_INLINE_MEMBER f32x16(__m512 x) : v(x) {}
  GENFAST_INLINE_MEMBER explicit f32x16(float x) : v(_mm512_set1_ps(x)) {}
  static GENFAST_INLINE_MEMBER f32x16 load(const float* p) { return _mm512_loadu_ps(p); }
  static GENFAST_INLINE_MEMBER f32x16 load_n(const float* p, int64_t n, float fill = 0.0f) {
    return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), first_lanes(n), p);
  }
  GENFAST_INLINE_MEMBER void store(float* p) const { _mm512_storeu_ps(p, v); }
  GENFAST_INLINE_MEMBER void store_n(float* p, int64_t n) const { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
};

struct f64x8 {
  __m512d v;
  f64x8() = default;
  GENFAST_INLINE_MEMBER f64x8(__m512d x) : v(x) {}
  GENFAST_INLINE_MEMBER explicit f64x8(double x) : v(_mm512_set1_pd(x)) {}
  static GENFAST_INLINE_MEMBER f64x8 load(const double* p) { return _mm512_loadu_pd(p); }
  static GENFAST_INLINE_MEMBER f64x8 load_n(const double* p, int64_t n, double fill = 0.0) {
    return _mm512_mask_loadu_pd(_mm512_set1_pd(fill), static_cast<__mmask8>(n >= 8 ? 0xffu : (1u << n) - 1u), p);
  }
  GENFAST_INLINE_MEMBER void store(double* p) const { _mm512_storeu_pd(p, v); }
  GENFAST_INLINE_MEMBER void store_n(double* p, int64_t n) const {
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>(n >= 8 ? 0xffu : (1u << n) - 1u), v);
  }
};

#define GENFAST_LANES(T, M, S, I, VI)                                                                                    \
  GENFAST_INLINE T operator+(T a, T b) { return _mm512_add_##S(a.v, b.v); }                                              \
  GENFAST_INLINE T operator-(T a, T b) { return _mm512_sub_##S(a.v, b.v); }                                              \
  GENFAST_INLINE T operator*(T a, T b) { return _mm512_mul_##S(a.v, b.v); }                                              \
  GENFAST_INLINE T operator/(T a, T b) { return _mm512_div_##S(a.v, b.v); }                                              \
  GENFAST_INLINE T operator-(T a) { return _mm512_xor_##S(a.v, _mm512_set1_##S(-0.0f)); }                                \
  GENFAST_INLINE M operator<(T a, T b) { return _mm512_cmp_##S##_mask(a.v, b.v, _CMP_LT_OQ); }                           \
  GENFAST_INLINE M operator<=(T a, T b) { return _mm512_cmp_##S##_mask(a.v, b.v, _CMP_LE_OQ); }                          \
  GENFAST_INLINE M operator>(T a, T b) { return _mm512_cmp_##S##_mask(a.v, b.v, _CMP_GT_OQ); }                           \
  GENFAST_INLINE M operator>=(T a, T b) { return _mm512_cmp_##S##_mask(a.v, b.v, _CMP_GE_OQ); }                          \
  GENFAST_INLINE M operator==(T a, T b) { return _mm512_cmp_##S##_mask(a.v, b.v, _CMP_EQ_OQ); }                          \
  GENFAST_INLINE M operator!=(T a, T b) { return _mm512_cmp_##S##_mask(a.v, b.v, _CMP_NEQ_UQ); }                         \
  GENFAST_INLINE T select(M m, T a, T b) { return _mm512_mask_blend_##S(m, b.v, a.v); }                                  \
  GENFAST_INLINE T fma(T a, T b, T c) { return _mm512_fmadd_##S(a.v, b.v, c.v); }                                        \
  GENFAST_INLINE T sqrt(T a) { return _mm512_sqrt_##S(a.v); }                                                            \
  GENFAST_INLINE T max(T a, T b) { return _mm512_max_##S(a.v, b.v); } /* exactly a > b ? a : b */                        \
  GENFAST_INLINE T floor(T a) { return _mm512_roundscale_##S(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }          \
  GENFAST_INLINE T round_even(T a) { return _mm512_roundscale_##S(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); } \
  GENFAST_INLINE T bits_and(T a, I b) { return _mm512_and_##S(a.v, _mm512_castsi512_##S(_mm512_set1_##VI(b))); }         \
  GENFAST_INLINE T bits_or(T a, I b) { return _mm512_or_##S(a.v, _mm512_castsi512_##S(_mm512_set1_##VI(b))); }           \
  GENFAST_INLINE T bits_or(T a, T b) { return _mm512_or_##S(a.v, b.v); }                                                 \
  GENFAST_INLINE T bits_add(T a, T b) {                                                                                  \
    return _mm512_castsi512_##S(_mm512_add_##VI(_mm512_cast##S##_si512(a.v), _mm512_cast##S##_si512(b.v)));              \
  }                                                                                                                      \
  GENFAST_INLINE T bits_add(T a, I b) {                                                                                  \
    return _mm512_castsi512_##S(_mm512_add_##VI(_mm512_cast##S##_si512(a.v), _mm512_set1_##VI(b)));                      \
  }                                                                                                                      \
  template <int n>                                                                                                       \
  GENFAST_INLINE T bits_shl(T a) {                                                                                       \
    return _mm512_castsi512_##S(_mm512_slli_##VI(_mm512_cast##S##_si512(a.v), n));                                       \
  }                                                                                                                      \
  template <int n>                                                                                                       \
  GENFAST_INLINE T bits_shr(T a) {                                                                                       \
    return _mm512_castsi512_##S(_mm512_srli_##VI(_mm512_cast##S##_si512(a.v), n));                                       \
  }
GENFAST_LANES(f32x16, m32x16, ps, uint32_t, epi32)
GENFAST_LANES(f64x8, m64x8, pd, uint64_t, epi64)
#undef GENFAST_LANES

// Bit i of the result is lane i.
GENFAST_INLINE uint32_t mask_bits(m32x16 m) { return m; }
GENFAST_INLINE uint32_t mask_bits(m64x8 m) { return m; }

GENFAST_INLINE f64x8 widen_low(f32x16 a) { return _mm512_cvtps_pd(_mm512_castps512_ps256(a.v)); }
GENFAST_INLINE f64x8 widen_high(f32x16 a) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(a.v, 1)); }

// What the formulas of the families run on.
using family_lanes = f64x8;
constexpr int kFamilyLanes = 8;

// Integer work on the bits of f64x8: three-way exclusive or, the 64-bit products of the low halves, and lanes 0 2 4 6 (or 1 3 5 7)
// of two vectors in turn: a0 b0 a2 b2 ...
GENFAST_INLINE f64x8 bits_xor(f64x8 a, f64x8 b, f64x8 c) {
  return _mm512_castsi512_pd(
      _mm512_ternarylogic_epi64(_mm512_castpd_si512(a.v), _mm512_castpd_si512(b.v), _mm512_castpd_si512(c.v), 0x96));
}
GENFAST_INLINE f64x8 bits_mul32(f64x8 a, f64x8 b) {
  return _mm512_castsi512_pd(_mm512_mul_epu32(_mm512_castpd_si512(a.v), _mm512_castpd_si512(b.v)));
}
GENFAST_INLINE f64x8 interleave_even(f64x8 a, f64x8 b) { return _mm512_unpacklo_pd(a.v, b.v); }
GENFAST_INLINE f64x8 interleave_odd(f64x8 a, f64x8 b) { return _mm512_unpackhi_pd(a.v, b.v); }
GENFAST_INLINE f32x16 as_f32(f64x8 a) { return _mm512_castpd_ps(a.v); }

// Folds of a fixed shape: lane i with lane i + 8, then + 4, + 2, + 1.
GENFAST_INLINE float fold_sum(f32x16 a) {
  const __m256 x8 = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 x4 = _mm_add_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps(x8, 1));
  const __m128 x2 = _mm_add_ps(x4, _mm_movehl_ps(x4, x4));
  return _mm_cvtss_f32(_mm_add_ss(x2, _mm_movehdup_ps(x2)));
}
GENFAST_INLINE float fold_max(f32x16 a) {
  const __m256 x8 = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 x4 = _mm_max_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps(x8, 1));
  const __m128 x2 = _mm_max_ps(x4, _mm_movehl_ps(x4, x4));
  return _mm_cvtss_f32(_mm_max_ss(x2, _mm_movehdup_ps(x2)));
}
GENFAST_INLINE double fold_sum(f64x8 a) {
  const __m256d x4 = _mm256_add_pd(_mm512_castpd512_pd256(a.v), _mm512_extractf64x4_pd(a.v, 1));
  const __m128d x2 = _mm_add_pd(_mm256_castpd256_pd128(x4), _mm256_extractf128_pd(x4, 1));
  return _mm_cvtsd_f64(_mm_add_sd(x2, _mm_unpackhi_pd(x2, x2)));
}
// Lane i of the result is fold_sum(a[i]), by the same additions.
GENFAST_INLINE f64x8 fold_sum8(const f64x8 (&a)[8]) {
  __m512d four[4], two[2];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // blocks 0 2, 4 6, 1 3, 5 7: the last step interleaves evens and odds
    const __m512d x = a[i / 2 + 4 * (i % 2)].v, y = a[i / 2 + 4 * (i % 2) + 2].v;
    four[i] = _mm512_add_pd(_mm512_shuffle_f64x2(x, y, 0x44), _mm512_shuffle_f64x2(x, y, 0xee));
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m512d x = four[2 * i], y = four[2 * i + 1];
    two[i] = _mm512_add_pd(_mm512_shuffle_f64x2(x, y, 0x88), _mm512_shuffle_f64x2(x, y, 0xdd));
  }
  return _mm512_add_pd(_mm512_unpacklo_pd(two[0], two[1]), _mm512_unpackhi_pd(two[0], two[1]));
}
GENFAST_INLINE f32x16 fold_sum16(const f32x16 (&a)[16]) {
  __m512 eight[8], four[4], two[2];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {  // 0 4, 8 12, 1 5, 9 13, ...: the later steps bring each to its lane
    const __m512 x = a[i / 2 + 8 * (i % 2)].v, y = a[i / 2 + 8 * (i % 2) + 4].v;
    eight[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x44), _mm512_shuffle_f32x4(x, y, 0xee));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512 x = eight[2 * i], y = eight[2 * i + 1];
    four[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xdd));
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m512d x = _mm512_castps_pd(four[2 * i]), y = _mm512_castps_pd(four[2 * i + 1]);
    two[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
  }
  return _mm512_add_ps(_mm512_shuffle_ps(two[0], two[1], 0x88), _mm512_shuffle_ps(two[0], two[1], 0xdd));
}

// Lane j of a[i] becomes lane i of a[j].
GENFAST_INLINE void transpose8(f64x8 (&a)[8]) {
  __m512d two[8], four[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    two[i] = _mm512_unpacklo_pd(a[i].v, a[i + 1].v);
    two[i + 1] = _mm512_unpackhi_pd(a[i].v, a[i + 1].v);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // pairs of rows (0 1)(2 3) and (4 5)(6 7), columns i % 2 + {0, 4} and + {2, 6}
    const __m512d x = two[i / 2 * 4 + i % 2], y = two[i / 2 * 4 + 2 + i % 2];
    four[2 * i] = _mm512_shuffle_f64x2(x, y, 0x88);
    four[2 * i + 1] = _mm512_shuffle_f64x2(x, y, 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512d x = four[i], y = four[4 + i];
    const int column = i / 2 + 2 * (i % 2);
    a[column].v = _mm512_shuffle_f64x2(x, y, 0x88);
    a[column + 4].v = _mm512_shuffle_f64x2(x, y, 0xdd);
  }
}

// Sixteen 16-bit words in the low halves of 32-bit lanes.
GENFAST_INLINE f32x16 load_u16(const uint16_t* p) {
  return _mm512_castsi512_ps(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}
// Sixteen integers, as floats.
GENFAST_INLINE f32x16 load_i8(const int8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
GENFAST_INLINE f32x16 load_u16_n(const uint16_t* p, int64_t n, uint16_t fill) {
  return _mm512_castsi512_ps(
      _mm512_cvtepu16_epi32(_mm256_mask_loadu_epi16(_mm256_set1_epi16(static_cast<int16_t>(fill)), first_lanes(n), p)));
}

// compress_store: the lanes of m, in order, to `to`, which has room for a whole vector. expand_load: the inverse; other lanes keep
// `otherwise`; a whole vector is readable at `from`. The register forms: compressing straight to memory is microcode on Zen 4.
GENFAST_INLINE void compress_store(float* to, m32x16 m, f32x16 a) { _mm512_storeu_ps(to, _mm512_maskz_compress_ps(m, a.v)); }
GENFAST_INLINE void compress_store(double* to, m64x8 m, f64x8 a) { _mm512_storeu_pd(to, _mm512_maskz_compress_pd(m, a.v)); }
GENFAST_INLINE f32x16 expand_load(const float* from, m32x16 m, f32x16 otherwise) {
  return _mm512_mask_expand_ps(otherwise.v, m, _mm512_loadu_ps(from));
}
GENFAST_INLINE f64x8 expand_load(const double* from, m64x8 m, f64x8 otherwise) {
  return _mm512_mask_expand_pd(otherwise.v, m, _mm512_loadu_pd(from));
}

// A load that the compiler cannot turn into many, one for each use.
GENFAST_INLINE f32x16 load_to_register(const float* p) {
  f32x16 x;
  asm("vmovups %1, %0" : "=v"(x.v) : "m"(*reinterpret_cast<const __m512_u*>(p)));
  return x;
}

// Has the compiler hold a value in one place from here on, where it would move it from register to register in a loop.
GENFAST_INLINE void keep_in_register(f32x16& x) { asm("" : "+v"(x.v)); }

// Stops the compiler from keeping a loaded value for later: loading it again is cheaper than spilling it.
GENFAST_INLINE void forget_loads() { asm("" : : : "memory"); }

// Register tiles of gemm-inl.h: rows of the highest tile that is `vectors` wide and of the usual one, and how wide a tile a call of
// `rows` rows should use. Six by four holds all its weights in registers, and loads least a multiply-add.
constexpr int kTileRows[5] = {0, 16, 14, 9, 7}, kUsualRows[5] = {0, 16, 14, 9, 6};
GENFAST_INLINE int tile_vectors(int64_t, int available) { return available; }
// Vectors of weights to hold at a time: a tile of 7 by 4 leaves four of the 32 registers, for two and a broadcast.
constexpr int weights_at_once(int rows, int vectors) { return rows == 7 && vectors == 4 ? 2 : vectors; }

// Vectors that logits-inl.h sends through one formula side by side, and how far it unrolls.
constexpr int kChains = 4, kUnroll = 8;
#define GENFAST_FORMULA GENFAST_INLINE

}  // namespace
}  // namespace avx512
}  // namespace genfast
