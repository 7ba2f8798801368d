// Sixteen float lanes and eight double lanes in two ymm registers each. Included by targets/avx2.cc, inside its target pragma.
// Same names and lane-by-lane meaning as simd_avx512-inl.h and simd_scalar-inl.h.
#include "numerics/activations.h"

namespace genfast {
namespace avx2 {
namespace {

struct m32x16 {
  __m256 a, b;
};
struct m64x8 {
  __m256d a, b;
};

// Eight (or four) 32-bit ones, then zeros: a window starting n before the boundary is the mask of the first n lanes.
alignas(64) constexpr int32_t kWindow[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
alignas(64) constexpr int64_t kWindow64[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
GENFAST_INLINE int64_t clamp_lanes(int64_t n, int64_t lanes) { return n < 0 ? 0 : n > lanes ? lanes : n; }
GENFAST_INLINE __m256i first_lanes(int64_t n) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kWindow + 8 - clamp_lanes(n, 8)));
}
GENFAST_INLINE __m256i first_lanes64(int64_t n) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kWindow64 + 4 - clamp_lanes(n, 4)));
}

struct f32x16 {
  __m256 a, b;
  f32x16() = default;
  GENFAST_INLINE_MEMBER f32x16(__m256 x, __m256 y) : a(x), b(y) {}
  GENFAST_INLINE_MEMBER explicit f32x16(float x) : a(_mm256_set1_ps(x)), b(a) {}
  static GENFAST_INLINE_MEMBER f32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static GENFAST_INLINE_MEMBER f32x16 load_n(const float* p, int64_t n, float fill = 0.0f) {
    const __m256i ma = first_lanes(n), mb = first_lanes(n - 8);
    const __m256 f = _mm256_set1_ps(fill);
    return {_mm256_blendv_ps(f, _mm256_maskload_ps(p, ma), _mm256_castsi256_ps(ma)),
            _mm256_blendv_ps(f, _mm256_maskload_ps(p + 8, mb), _mm256_castsi256_ps(mb))};
  }
  GENFAST_INLINE_MEMBER void store(float* p) const {
    _mm256_storeu_ps(p, a);
    _mm256_storeu_ps(p + 8, b);
  }
  GENFAST_INLINE_MEMBER void store_n(float* p, int64_t n) const {
    _mm256_maskstore_ps(p, first_lanes(n), a);
    _mm256_maskstore_ps(p + 8, first_lanes(n - 8), b);
  }
};

struct f64x8 {
  __m256d a, b;
  f64x8() = default;
  GENFAST_INLINE_MEMBER f64x8(__m256d x, __m256d y) : a(x), b(y) {}
  GENFAST_INLINE_MEMBER explicit f64x8(double x) : a(_mm256_set1_pd(x)), b(a) {}
  static GENFAST_INLINE_MEMBER f64x8 load(const double* p) { return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }
  static GENFAST_INLINE_MEMBER f64x8 load_n(const double* p, int64_t n, double fill = 0.0) {
    const __m256i ma = first_lanes64(n), mb = first_lanes64(n - 4);
    const __m256d f = _mm256_set1_pd(fill);
    return {_mm256_blendv_pd(f, _mm256_maskload_pd(p, ma), _mm256_castsi256_pd(ma)),
            _mm256_blendv_pd(f, _mm256_maskload_pd(p + 4, mb), _mm256_castsi256_pd(mb))};
  }
  GENFAST_INLINE_MEMBER void store(double* p) const {
    _mm256_storeu_pd(p, a);
    _mm256_storeu_pd(p + 4, b);
  }
  GENFAST_INLINE_MEMBER void store_n(double* p, int64_t n) const {
    _mm256_maskstore_pd(p, first_lanes64(n), a);
    _mm256_maskstore_pd(p + 4, first_lanes64(n - 4), b);
  }
};

#define GENFAST_PAIR2(T, name, op) \
  GENFAST_INLINE T name(T x, T y) { return {op(x.a, y.a), op(x.b, y.b)}; }
#define GENFAST_COMPARE(T, M, S, name, how) \
  GENFAST_INLINE M name(T x, T y) { return {_mm256_cmp_##S(x.a, y.a, how), _mm256_cmp_##S(x.b, y.b, how)}; }
#define GENFAST_LANES(T, M, S, I, VI, SET)                                                                                \
  GENFAST_PAIR2(T, operator+, _mm256_add_##S)                                                                             \
  GENFAST_PAIR2(T, operator-, _mm256_sub_##S)                                                                             \
  GENFAST_PAIR2(T, operator*, _mm256_mul_##S)                                                                             \
  GENFAST_PAIR2(T, operator/, _mm256_div_##S)                                                                             \
  GENFAST_PAIR2(T, max, _mm256_max_##S) /* exactly a > b ? a : b */                                                       \
  GENFAST_PAIR2(T, bits_or, _mm256_or_##S)                                                                                \
  GENFAST_PAIR2(M, operator&, _mm256_and_##S)                                                                             \
  GENFAST_PAIR2(M, operator|, _mm256_or_##S)                                                                              \
  GENFAST_COMPARE(T, M, S, operator<, _CMP_LT_OQ)                                                                         \
  GENFAST_COMPARE(T, M, S, operator<=, _CMP_LE_OQ)                                                                        \
  GENFAST_COMPARE(T, M, S, operator>, _CMP_GT_OQ)                                                                         \
  GENFAST_COMPARE(T, M, S, operator>=, _CMP_GE_OQ)                                                                        \
  GENFAST_COMPARE(T, M, S, operator==, _CMP_EQ_OQ)                                                                        \
  GENFAST_COMPARE(T, M, S, operator!=, _CMP_NEQ_UQ)                                                                       \
  GENFAST_INLINE T operator-(T x) {                                                                                       \
    return {_mm256_xor_##S(x.a, _mm256_set1_##S(-0.0f)), _mm256_xor_##S(x.b, _mm256_set1_##S(-0.0f))};                    \
  }                                                                                                                       \
  GENFAST_INLINE T select(M m, T x, T y) { return {_mm256_blendv_##S(y.a, x.a, m.a), _mm256_blendv_##S(y.b, x.b, m.b)}; } \
  GENFAST_INLINE T fma(T x, T y, T z) { return {_mm256_fmadd_##S(x.a, y.a, z.a), _mm256_fmadd_##S(x.b, y.b, z.b)}; }      \
  GENFAST_INLINE T sqrt(T x) { return {_mm256_sqrt_##S(x.a), _mm256_sqrt_##S(x.b)}; }                                     \
  GENFAST_INLINE T floor(T x) { return {_mm256_floor_##S(x.a), _mm256_floor_##S(x.b)}; }                                  \
  GENFAST_INLINE T round_even(T x) {                                                                                      \
    return {_mm256_round_##S(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),                                         \
            _mm256_round_##S(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};                                        \
  }                                                                                                                       \
  GENFAST_INLINE T bits_and(T x, I i) {                                                                                   \
    const auto m = _mm256_castsi256_##S(SET(i));                                                                          \
    return {_mm256_and_##S(x.a, m), _mm256_and_##S(x.b, m)};                                                              \
  }                                                                                                                       \
  GENFAST_INLINE T bits_or(T x, I i) {                                                                                    \
    const auto m = _mm256_castsi256_##S(SET(i));                                                                          \
    return {_mm256_or_##S(x.a, m), _mm256_or_##S(x.b, m)};                                                                \
  }                                                                                                                       \
  GENFAST_INLINE T bits_add(T x, T y) {                                                                                   \
    return {_mm256_castsi256_##S(_mm256_add_##VI(_mm256_cast##S##_si256(x.a), _mm256_cast##S##_si256(y.a))),              \
            _mm256_castsi256_##S(_mm256_add_##VI(_mm256_cast##S##_si256(x.b), _mm256_cast##S##_si256(y.b)))};             \
  }                                                                                                                       \
  GENFAST_INLINE T bits_add(T x, I i) {                                                                                   \
    const auto m = _mm256_castsi256_##S(SET(i));                                                                          \
    return bits_add(x, T{m, m});                                                                                          \
  }                                                                                                                       \
  template <int n>                                                                                                        \
  GENFAST_INLINE T bits_shl(T x) {                                                                                        \
    return {_mm256_castsi256_##S(_mm256_slli_##VI(_mm256_cast##S##_si256(x.a), n)),                                       \
            _mm256_castsi256_##S(_mm256_slli_##VI(_mm256_cast##S##_si256(x.b), n))};                                      \
  }                                                                                                                       \
  template <int n>                                                                                                        \
  GENFAST_INLINE T bits_shr(T x) {                                                                                        \
    return {_mm256_castsi256_##S(_mm256_srli_##VI(_mm256_cast##S##_si256(x.a), n)),                                       \
            _mm256_castsi256_##S(_mm256_srli_##VI(_mm256_cast##S##_si256(x.b), n))};                                      \
  }
GENFAST_LANES(f32x16, m32x16, ps, uint32_t, epi32, _mm256_set1_epi32)
GENFAST_LANES(f64x8, m64x8, pd, uint64_t, epi64, _mm256_set1_epi64x)
#undef GENFAST_LANES
#undef GENFAST_COMPARE
#undef GENFAST_PAIR2

// Bit i of the result is lane i.
GENFAST_INLINE uint32_t mask_bits(m32x16 m) {
  return static_cast<uint32_t>(_mm256_movemask_ps(m.a)) | static_cast<uint32_t>(_mm256_movemask_ps(m.b)) << 8;
}
GENFAST_INLINE uint32_t mask_bits(m64x8 m) {
  return static_cast<uint32_t>(_mm256_movemask_pd(m.a)) | static_cast<uint32_t>(_mm256_movemask_pd(m.b)) << 4;
}

GENFAST_INLINE f64x8 widen_low(f32x16 x) {
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(x.a)), _mm256_cvtps_pd(_mm256_extractf128_ps(x.a, 1))};
}
GENFAST_INLINE f64x8 widen_high(f32x16 x) {
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(x.b)), _mm256_cvtps_pd(_mm256_extractf128_ps(x.b, 1))};
}

// What the formulas of the families run on.
using family_lanes = f64x8;
constexpr int kFamilyLanes = 8;

// Integer work on the bits of f64x8: three-way exclusive or, the 64-bit products of the low halves, and lanes 0 2 4 6 (or 1 3 5 7)
// of two vectors in turn: a0 b0 a2 b2 ...
GENFAST_INLINE f64x8 bits_xor(f64x8 x, f64x8 y, f64x8 z) {
  return {_mm256_xor_pd(_mm256_xor_pd(x.a, y.a), z.a), _mm256_xor_pd(_mm256_xor_pd(x.b, y.b), z.b)};
}
GENFAST_INLINE f64x8 bits_mul32(f64x8 x, f64x8 y) {
  return {_mm256_castsi256_pd(_mm256_mul_epu32(_mm256_castpd_si256(x.a), _mm256_castpd_si256(y.a))),
          _mm256_castsi256_pd(_mm256_mul_epu32(_mm256_castpd_si256(x.b), _mm256_castpd_si256(y.b)))};
}
GENFAST_INLINE f64x8 interleave_even(f64x8 x, f64x8 y) { return {_mm256_unpacklo_pd(x.a, y.a), _mm256_unpacklo_pd(x.b, y.b)}; }
GENFAST_INLINE f64x8 interleave_odd(f64x8 x, f64x8 y) { return {_mm256_unpackhi_pd(x.a, y.a), _mm256_unpackhi_pd(x.b, y.b)}; }
GENFAST_INLINE f32x16 as_f32(f64x8 x) { return {_mm256_castpd_ps(x.a), _mm256_castpd_ps(x.b)}; }

// Folds of a fixed shape: lane i with lane i + 8, then + 4, + 2, + 1.
GENFAST_INLINE float fold_sum(f32x16 x) {
  const __m256 x8 = _mm256_add_ps(x.a, x.b);
  const __m128 x4 = _mm_add_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps(x8, 1));
  const __m128 x2 = _mm_add_ps(x4, _mm_movehl_ps(x4, x4));
  return _mm_cvtss_f32(_mm_add_ss(x2, _mm_movehdup_ps(x2)));
}
GENFAST_INLINE float fold_max(f32x16 x) {
  const __m256 x8 = _mm256_max_ps(x.a, x.b);
  const __m128 x4 = _mm_max_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps(x8, 1));
  const __m128 x2 = _mm_max_ps(x4, _mm_movehl_ps(x4, x4));
  return _mm_cvtss_f32(_mm_max_ss(x2, _mm_movehdup_ps(x2)));
}
GENFAST_INLINE double fold_sum(f64x8 x) {
  const __m256d x4 = _mm256_add_pd(x.a, x.b);
  const __m128d x2 = _mm_add_pd(_mm256_castpd256_pd128(x4), _mm256_extractf128_pd(x4, 1));
  return _mm_cvtsd_f64(_mm_add_sd(x2, _mm_unpackhi_pd(x2, x2)));
}
// Lane i of the result is fold_sum(a[i]), by the same additions.
GENFAST_INLINE __m256d fold_sum4(f64x8 a0, f64x8 a1, f64x8 a2, f64x8 a3) {
  const __m256d x0 = _mm256_add_pd(a0.a, a0.b), x1 = _mm256_add_pd(a1.a, a1.b);
  const __m256d x2 = _mm256_add_pd(a2.a, a2.b), x3 = _mm256_add_pd(a3.a, a3.b);
  const __m256d y02 = _mm256_add_pd(_mm256_permute2f128_pd(x0, x2, 0x20), _mm256_permute2f128_pd(x0, x2, 0x31));
  const __m256d y13 = _mm256_add_pd(_mm256_permute2f128_pd(x1, x3, 0x20), _mm256_permute2f128_pd(x1, x3, 0x31));
  return _mm256_add_pd(_mm256_unpacklo_pd(y02, y13), _mm256_unpackhi_pd(y02, y13));
}
GENFAST_INLINE f64x8 fold_sum8(const f64x8 (&a)[8]) {
  return {fold_sum4(a[0], a[1], a[2], a[3]), fold_sum4(a[4], a[5], a[6], a[7])};
}

GENFAST_INLINE __m256 fold_sum8(const f32x16* a) {
  __m256 four[4], two[2];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m256 x = _mm256_add_ps(a[i].a, a[i].b), y = _mm256_add_ps(a[i + 4].a, a[i + 4].b);
    four[i] = _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31));
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m256d x = _mm256_castps_pd(four[2 * i]), y = _mm256_castps_pd(four[2 * i + 1]);
    two[i] = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(x, y)), _mm256_castpd_ps(_mm256_unpackhi_pd(x, y)));
  }
  return _mm256_add_ps(_mm256_shuffle_ps(two[0], two[1], 0x88), _mm256_shuffle_ps(two[0], two[1], 0xdd));
}
GENFAST_INLINE f32x16 fold_sum16(const f32x16 (&a)[16]) { return {fold_sum8(a), fold_sum8(a + 8)}; }

// Lane j of a[i] becomes lane i of a[j].
GENFAST_INLINE void transpose4(__m256d& a, __m256d& b, __m256d& c, __m256d& d) {
  const __m256d ab0 = _mm256_unpacklo_pd(a, b), ab1 = _mm256_unpackhi_pd(a, b);
  const __m256d cd0 = _mm256_unpacklo_pd(c, d), cd1 = _mm256_unpackhi_pd(c, d);
  a = _mm256_permute2f128_pd(ab0, cd0, 0x20);
  b = _mm256_permute2f128_pd(ab1, cd1, 0x20);
  c = _mm256_permute2f128_pd(ab0, cd0, 0x31);
  d = _mm256_permute2f128_pd(ab1, cd1, 0x31);
}
GENFAST_INLINE void transpose8(f64x8 (&a)[8]) {
  transpose4(a[0].a, a[1].a, a[2].a, a[3].a);
  transpose4(a[0].b, a[1].b, a[2].b, a[3].b);
  transpose4(a[4].a, a[5].a, a[6].a, a[7].a);
  transpose4(a[4].b, a[5].b, a[6].b, a[7].b);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) std::swap(a[i].b, a[4 + i].a);
}

// Sixteen 16-bit words in the low halves of 32-bit lanes.
GENFAST_INLINE f32x16 load_u16(const uint16_t* p) {
  const __m128i* q = reinterpret_cast<const __m128i*>(p);
  return {_mm256_castsi256_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128(q))),
          _mm256_castsi256_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128(q + 1)))};
}
// Sixteen integers, as floats.
GENFAST_INLINE f32x16 load_i8(const int8_t* p) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8))))};
}
GENFAST_INLINE f32x16 load_u16_n(const uint16_t* p, int64_t n, uint16_t fill) {
  if (n >= 16) return load_u16(p);
  uint16_t words[16];
  for (int i = 0; i < 16; ++i) words[i] = i < n ? p[i] : fill;
  return load_u16(words);
}

// The lanes of m, in order, to `to`, which has room for a whole vector.
template <class T, class M, class V>
GENFAST_INLINE void compress_store(T* to, M m, V x) {
  alignas(64) T lane[64 / sizeof(T)];
  x.store(lane);
  for (uint32_t bits = mask_bits(m); bits; bits &= bits - 1) *to++ = lane[__builtin_ctz(bits)];
}
// The inverse: lanes outside m keep `otherwise`. A whole vector is readable at `from`.
template <class T, class M, class V>
GENFAST_INLINE V expand_load(const T* from, M m, V otherwise) {
  alignas(64) T lane[64 / sizeof(T)];
  otherwise.store(lane);
  for (uint32_t bits = mask_bits(m); bits; bits &= bits - 1) lane[__builtin_ctz(bits)] = *from++;
  return V::load(lane);
}

// A load that the compiler cannot turn into many, one for each use.
GENFAST_INLINE f32x16 load_to_register(const float* p) {
  f32x16 x;
  asm("vmovups %1, %0" : "=x"(x.a) : "m"(*reinterpret_cast<const __m256_u*>(p)));
  asm("vmovups %1, %0" : "=x"(x.b) : "m"(*reinterpret_cast<const __m256_u*>(p + 8)));
  return x;
}

// Has the compiler hold a value in one place from here on, where it would move it from register to register in a loop.
GENFAST_INLINE void keep_in_register(f32x16& x) { asm("" : "+x"(x.a), "+x"(x.b)); }

// Stops the compiler from keeping a loaded value for later: loading it again is cheaper than spilling it.
GENFAST_INLINE void forget_loads() {}

// Register tiles of gemm-inl.h. Sixteen registers: six rows of one f32x16, or few rows of more so that eight chains run.
constexpr int kTileRows[5] = {0, 6, 2, 1, 1}, kUsualRows[5] = {0, 6, 2, 1, 1};
GENFAST_INLINE int tile_vectors(int64_t rows, int available) {
  return rows > 2 ? 1 : rows == 2 && available > 2 ? 2 : rows == 2 ? available : available;
}
// Vectors of weights to hold at a time.
constexpr int weights_at_once(int rows, int vectors) { return rows == 1 ? 1 : vectors; }

// Vectors that logits-inl.h sends through one formula side by side, and how far it unrolls.
constexpr int kChains = 2, kUnroll = 8;
#define GENFAST_FORMULA GENFAST_INLINE

}  // namespace
}  // namespace avx2
}  // namespace genfast
