// Lane operations that need no instruction of their own. Included once per target by all-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

GENFAST_INLINE f32x16 abs(f32x16 x) { return bits_and(x, uint32_t{0x7fffffff}); }
GENFAST_INLINE f32x16 copysign(f32x16 x, f32x16 s) { return bits_or(abs(x), bits_and(s, uint32_t{0x80000000})); }
GENFAST_INLINE f64x8 abs(f64x8 x) { return bits_and(x, uint64_t{0x7fffffffffffffff}); }
// Whether any lane is set.
GENFAST_INLINE bool any(m64x8 m) { return mask_bits(m) != 0; }
GENFAST_INLINE f64x8 copysign(f64x8 x, f64x8 s) { return bits_or(abs(x), bits_and(s, uint64_t{0x8000000000000000})); }

// N vectors through one formula, so that their chains of dependent operations overlap. A lane type like any other; only what
// numerics/exp_log.h asks of one.
template <class V, int N>
struct Several {
  V v[N];
  Several() = default;
  template <class T>
  GENFAST_INLINE_MEMBER explicit Several(T x) {
    for (int i = 0; i < N; ++i) v[i] = V(x);
  }
};
template <class V, int N>
struct SeveralMasks {
  decltype(V() < V()) v[N];
};
#define GENFAST_SEVERAL(R, name, args, expression)          \
  template <class V, int N>                                 \
  GENFAST_INLINE R<V, N> name args {                        \
    R<V, N> r;                                              \
    _Pragma("GCC unroll 8") for (int i = 0; i < N; ++i) r.v[i] = expression; \
    return r;                                               \
  }
#define GENFAST_S Several<V, N>
GENFAST_SEVERAL(Several, operator+, (GENFAST_S a, GENFAST_S b), a.v[i] + b.v[i])
GENFAST_SEVERAL(Several, operator-, (GENFAST_S a, GENFAST_S b), a.v[i] - b.v[i])
GENFAST_SEVERAL(Several, operator*, (GENFAST_S a, GENFAST_S b), a.v[i] * b.v[i])
GENFAST_SEVERAL(Several, operator/, (GENFAST_S a, GENFAST_S b), a.v[i] / b.v[i])
GENFAST_SEVERAL(Several, max, (GENFAST_S a, GENFAST_S b), max(a.v[i], b.v[i]))
GENFAST_SEVERAL(Several, fma, (GENFAST_S a, GENFAST_S b, GENFAST_S c), fma(a.v[i], b.v[i], c.v[i]))
GENFAST_SEVERAL(SeveralMasks, operator<, (GENFAST_S a, GENFAST_S b), a.v[i] < b.v[i])
template <class V, int N>
GENFAST_INLINE Several<V, N> select(SeveralMasks<V, N> m, Several<V, N> a, Several<V, N> b) {
  Several<V, N> r;
  _Pragma("GCC unroll 8") for (int i = 0; i < N; ++i) r.v[i] = select(m.v[i], a.v[i], b.v[i]);
  return r;
}
template <int n, class V, int N>
GENFAST_INLINE Several<V, N> bits_shl(Several<V, N> a) {
  Several<V, N> r;
  _Pragma("GCC unroll 8") for (int i = 0; i < N; ++i) r.v[i] = bits_shl<n>(a.v[i]);
  return r;
}
#undef GENFAST_S
#undef GENFAST_SEVERAL

// column[j] lane i = rows[8 * index[i] + j]: eight rows of eight doubles, transposed. The index is an integer in a double's bits.
GENFAST_INLINE void load_rows(const double* rows, const double (&index)[8], f64x8 (&column)[8]) {
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) column[i] = f64x8::load(rows + 8 * numerics::to_bits(index[i]));
  transpose8(column);
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
