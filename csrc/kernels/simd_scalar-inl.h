// Sixteen float lanes and eight double lanes as plain arrays: the definition the register versions are held to, and the only
// target on other CPUs. Included by targets/scalar.cc.
// Same names and lane-by-lane meaning as simd_avx2-inl.h and simd_avx512-inl.h.
#include "numerics/activations.h"

namespace genfast {
namespace scalar {
namespace {

struct m32x16 {
  bool v[16];
};
struct m64x8 {
  bool v[8];
};
struct m64x1 {
  bool v[1];
};

#define GENFAST_LANES(T, M, E, I, N)                                                                      \
  struct T {                                                                                              \
    E v[N];                                                                                               \
    T() = default;                                                                                        \
    GENFAST_INLINE_MEMBER explicit T(E x) {                                                               \
      for (int i = 0; i < N; ++i) v[i] = x;                                                               \
    }                                                                                                     \
    static GENFAST_INLINE_MEMBER T load(const E* p) {                                                     \
      T r;                                                                                                \
      for (int i = 0; i < N; ++i) r.v[i] = p[i];                                                          \
      return r;                                                                                           \
    }                                                                                                     \
    static GENFAST_INLINE_MEMBER T load_n(const E* p, int64_t n, E fill = 0) {                            \
      T r;                                                                                                \
      for (int i = 0; i < N; ++i) r.v[i] = i < n ? p[i] : fill;                                           \
      return r;                                                                                           \
    }                                                                                                     \
    GENFAST_INLINE_MEMBER void store(E* p) const {                                                        \
      for (int i = 0; i < N; ++i) p[i] = v[i];                                                            \
    }                                                                                                     \
    GENFAST_INLINE_MEMBER void store_n(E* p, int64_t n) const {                                           \
      for (int i = 0; i < N && i < n; ++i) p[i] = v[i];                                                   \
    }                                                                                                     \
  };                                                                                                      \
  GENFAST_EACH(T, N, operator+, (T a, T b), a.v[i] + b.v[i])                                              \
  GENFAST_EACH(T, N, operator-, (T a, T b), a.v[i] - b.v[i])                                              \
  GENFAST_EACH(T, N, operator*, (T a, T b), a.v[i] * b.v[i])                                              \
  GENFAST_EACH(T, N, operator/, (T a, T b), a.v[i] / b.v[i])                                              \
  GENFAST_EACH(T, N, operator-, (T a), -a.v[i])                                                           \
  GENFAST_EACH(M, N, operator<, (T a, T b), a.v[i] < b.v[i])                                              \
  GENFAST_EACH(M, N, operator<=, (T a, T b), a.v[i] <= b.v[i])                                            \
  GENFAST_EACH(M, N, operator>, (T a, T b), a.v[i] > b.v[i])                                              \
  GENFAST_EACH(M, N, operator>=, (T a, T b), a.v[i] >= b.v[i])                                            \
  GENFAST_EACH(M, N, operator==, (T a, T b), a.v[i] == b.v[i])                                            \
  GENFAST_EACH(M, N, operator!=, (T a, T b), a.v[i] != b.v[i])                                            \
  GENFAST_EACH(M, N, operator&, (M a, M b), a.v[i] & b.v[i])                                              \
  GENFAST_EACH(M, N, operator|, (M a, M b), a.v[i] | b.v[i])                                              \
  GENFAST_EACH(T, N, select, (M m, T a, T b), m.v[i] ? a.v[i] : b.v[i])                                   \
  GENFAST_EACH(T, N, fma, (T a, T b, T c), numerics::fma(a.v[i], b.v[i], c.v[i]))                         \
  GENFAST_EACH(T, N, sqrt, (T a), numerics::sqrt(a.v[i]))                                                 \
  GENFAST_EACH(T, N, max, (T a, T b), a.v[i] > b.v[i] ? a.v[i] : b.v[i])                                  \
  GENFAST_EACH(T, N, floor, (T a), numerics::floor(a.v[i]))                                               \
  GENFAST_EACH(T, N, round_even, (T a), numerics::round_even(a.v[i]))                                     \
  GENFAST_EACH(T, N, bits_and, (T a, I b), numerics::bits_and(a.v[i], b))                                 \
  GENFAST_EACH(T, N, bits_or, (T a, I b), numerics::bits_or(a.v[i], b))                                   \
  GENFAST_EACH(T, N, bits_or, (T a, T b), numerics::bits_or(a.v[i], b.v[i]))                              \
  GENFAST_EACH(T, N, bits_add, (T a, I b), numerics::bits_add(a.v[i], b))                                 \
  GENFAST_EACH(T, N, bits_add, (T a, T b), numerics::bits_add(a.v[i], b.v[i]))                            \
  template <int n>                                                                                        \
  GENFAST_EACH(T, N, bits_shl, (T a), numerics::bits_shl<n>(a.v[i]))                                      \
  template <int n>                                                                                        \
  GENFAST_EACH(T, N, bits_shr, (T a), numerics::bits_shr<n>(a.v[i])) /* Bit i of the result is lane i. */ \
  GENFAST_INLINE uint32_t mask_bits(M m) {                                                                \
    uint32_t r = 0;                                                                                       \
    for (int i = 0; i < N; ++i) r |= static_cast<uint32_t>(m.v[i]) << i;                                  \
    return r;                                                                                             \
  }
#define GENFAST_EACH(R, N, name, args, expression)   \
  GENFAST_INLINE R name args {                       \
    R r;                                             \
    for (int i = 0; i < N; ++i) r.v[i] = expression; \
    return r;                                        \
  }
GENFAST_LANES(f32x16, m32x16, float, uint32_t, 16)
GENFAST_LANES(f64x8, m64x8, double, uint64_t, 8)
GENFAST_LANES(f64x1, m64x1, double, uint64_t, 1)
#undef GENFAST_EACH
#undef GENFAST_LANES

GENFAST_INLINE f64x8 widen_low(f32x16 a) {
  f64x8 r;
  for (int i = 0; i < 8; ++i) r.v[i] = a.v[i];
  return r;
}
GENFAST_INLINE f64x8 widen_high(f32x16 a) {
  f64x8 r;
  for (int i = 0; i < 8; ++i) r.v[i] = a.v[8 + i];
  return r;
}

// The families' long formulas run one lane at a time here, which compiles ten times faster; no lane sees its neighbours, so the
// bits are the same.
using family_lanes = f64x1;
constexpr int kFamilyLanes = 1;
GENFAST_INLINE f64x1 abs(f64x1 x) { return bits_and(x, uint64_t{0x7fffffffffffffff}); }
GENFAST_INLINE f64x1 copysign(f64x1 x, f64x1 s) { return bits_or(abs(x), bits_and(s, uint64_t{0x8000000000000000})); }
GENFAST_INLINE bool any(m64x1 m) { return m.v[0]; }

// Integer work on the bits of f64x8: three-way exclusive or, the 64-bit products of the low halves, and lanes 0 2 4 6 (or 1 3 5 7)
// of two vectors in turn: a0 b0 a2 b2 ...
GENFAST_INLINE f64x8 bits_xor(f64x8 a, f64x8 b, f64x8 c) {
  for (int i = 0; i < 8; ++i)
    a.v[i] = numerics::from_bits(numerics::to_bits(a.v[i]) ^ numerics::to_bits(b.v[i]) ^ numerics::to_bits(c.v[i]));
  return a;
}
GENFAST_INLINE f64x8 bits_mul32(f64x8 a, f64x8 b) {
  for (int i = 0; i < 8; ++i)
    a.v[i] = numerics::from_bits((numerics::to_bits(a.v[i]) & 0xffffffff) * (numerics::to_bits(b.v[i]) & 0xffffffff));
  return a;
}
GENFAST_INLINE f64x8 interleave_even(f64x8 a, f64x8 b) {
  for (int i = 1; i < 8; i += 2) a.v[i] = b.v[i - 1];
  return a;
}
GENFAST_INLINE f64x8 interleave_odd(f64x8 a, f64x8 b) {
  for (int i = 1; i < 8; i += 2) a.v[i - 1] = a.v[i], a.v[i] = b.v[i];
  return a;
}
GENFAST_INLINE f32x16 as_f32(f64x8 a) {
  f32x16 r;
  memcpy(&r, &a, sizeof r);
  return r;
}

// Folds of a fixed shape: lane i with lane i + 8, then + 4, + 2, + 1.
GENFAST_INLINE float fold_sum(f32x16 a) {
  for (int step = 8; step; step /= 2)
    for (int i = 0; i < step; ++i) a.v[i] = a.v[i] + a.v[i + step];
  return a.v[0];
}
GENFAST_INLINE float fold_max(f32x16 a) {
  for (int step = 8; step; step /= 2)
    for (int i = 0; i < step; ++i) a.v[i] = numerics::max(a.v[i], a.v[i + step]);
  return a.v[0];
}
GENFAST_INLINE double fold_sum(f64x8 a) {
  for (int step = 4; step; step /= 2)
    for (int i = 0; i < step; ++i) a.v[i] = a.v[i] + a.v[i + step];
  return a.v[0];
}
// Lane i of the result is fold_sum(a[i]), by the same additions.
GENFAST_INLINE f64x8 fold_sum8(const f64x8 (&a)[8]) {
  f64x8 r;
  for (int i = 0; i < 8; ++i) r.v[i] = fold_sum(a[i]);
  return r;
}

GENFAST_INLINE f32x16 fold_sum16(const f32x16 (&a)[16]) {
  f32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i] = fold_sum(a[i]);
  return r;
}

// Lane j of a[i] becomes lane i of a[j].
GENFAST_INLINE void transpose8(f64x8 (&a)[8]) {
  for (int i = 0; i < 8; ++i)
    for (int j = 0; j < i; ++j) {
      const double x = a[i].v[j];
      a[i].v[j] = a[j].v[i];
      a[j].v[i] = x;
    }
}

// Sixteen 16-bit words in the low halves of 32-bit lanes.
GENFAST_INLINE f32x16 load_u16_n(const uint16_t* p, int64_t n, uint16_t fill) {
  f32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i] = numerics::from_bits(static_cast<uint32_t>(i < n ? p[i] : fill));
  return r;
}
GENFAST_INLINE f32x16 load_u16(const uint16_t* p) { return load_u16_n(p, 16, 0); }
// Sixteen integers, as floats.
GENFAST_INLINE f32x16 load_i8(const int8_t* p) {
  f32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i] = p[i];
  return r;
}

// The lanes of m, in order, to `to`, which has room for a whole vector.
template <class T, class M, class V>
GENFAST_INLINE void compress_store(T* to, M m, V a) {
  for (size_t i = 0; i < 64 / sizeof(T); ++i)
    if (m.v[i]) *to++ = a.v[i];
}
// The inverse: lanes outside m keep `otherwise`. A whole vector is readable at `from`.
template <class T, class M, class V>
GENFAST_INLINE V expand_load(const T* from, M m, V otherwise) {
  for (size_t i = 0; i < 64 / sizeof(T); ++i)
    if (m.v[i]) otherwise.v[i] = *from++;
  return otherwise;
}

// A load that the compiler cannot turn into many, one for each use.
GENFAST_INLINE f32x16 load_to_register(const float* p) { return f32x16::load(p); }

// Has the compiler hold a value in one place from here on, where it would move it from register to register in a loop.
GENFAST_INLINE void keep_in_register(f32x16&) {}

// Stops the compiler from keeping a loaded value for later: loading it again is cheaper than spilling it.
GENFAST_INLINE void forget_loads() {}

// Register tiles of gemm-inl.h.
constexpr int kTileRows[5] = {0, 2, 1, 1, 1}, kUsualRows[5] = {0, 2, 1, 1, 1};
GENFAST_INLINE int tile_vectors(int64_t, int) { return 1; }
// Vectors of weights to hold at a time.
constexpr int weights_at_once(int, int vectors) { return vectors; }

// Vectors that logits-inl.h sends through one formula side by side, and how far it unrolls; sixteen lanes are enough code here,
// and a formula is called.
constexpr int kChains = 1, kUnroll = 1;
#define GENFAST_FORMULA static inline __attribute__((noinline))

}  // namespace
}  // namespace scalar
}  // namespace genfast
