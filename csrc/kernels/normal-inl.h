// Quantiles of families that are functions of a standard normal. The centre formula runs over all lanes; lanes in a tail are
// gathered into full vectors, so that one of them does not make its neighbours pay for the logarithm. Included once per target by
// closed_form-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

template <class T>
struct NormalLanes;
template <>
struct NormalLanes<double> {
  using V = f64x8;
  using M = m64x8;
  using C = numerics::NormalF64;
};
template <>
struct NormalLanes<float> {
  using V = f32x16;
  using M = m32x16;
  using C = numerics::NormalF32;
};

// Phi^-1 of signed tail probabilities: -p stands for p in the lower tail.
template <class C, class V>
GENFAST_INLINE V normal_tails(V signed_p) {
  const V p = abs(signed_p);
  const V r = numerics::normal_tail_radius<C>(p), t = r - V(2.75f);
  const auto far = r > V(6.0f);
  V gap = numerics::normal_gap_near(t, C());
  if (mask_bits(far)) gap = select(far, numerics::normal_gap_far(t, C()), gap);
  return copysign(numerics::normal_tail_value<C>(p, r, gap), signed_p);
}

// out = D::from_normal(Phi^-1(x)), or of -Phi^-1(x) if `upper`.
template <class D, int params, bool upper, class T>
void normal_quantiles(const ElementArgsOf<T>& a) {
  using V = typename NormalLanes<T>::V;
  using M = typename NormalLanes<T>::M;
  using C = typename NormalLanes<T>::C;
  constexpr int64_t lanes = 64 / sizeof(T), run = 512;
  alignas(64) T centre[run], tail[run + lanes];
  M in_tail[run / lanes];
  V p[params];
  for (int j = 0; j < params; ++j) p[j] = V(a.n > 0 ? a.params[j][0] : T(0));
  for (int64_t begin = 0; begin < a.n; begin += run) {
    const int64_t n = a.n - begin < run ? a.n - begin : run;
    const auto at = [&](const T* from, int64_t i) {
      return i + lanes <= n ? V::load(from + begin + i) : V::load_n(from + begin + i, n - i, from[begin + i]);
    };
    int64_t tails = 0;
    for (int64_t i = 0; i < n; i += lanes) {
      const V u = at(a.x, i), q = u - V(0.5f);
      const V m = select(q < V(0.0f), u, V(1.0f) - u);
      const M is_tail = m <= V(C::tail);
      numerics::normal_quantile_centre<C>(q).store(centre + i);
      compress_store(tail + tails, is_tail, copysign(m, q));
      in_tail[i / lanes] = is_tail;
      tails += __builtin_popcount(mask_bits(is_tail));
    }
    V(0.125f).store(tail + tails);
    for (int64_t i = 0; i < tails; i += lanes) normal_tails<C>(V::load(tail + i)).store(tail + i);
    tails = 0;
    for (int64_t i = 0; i < n; i += lanes) {
      const M is_tail = in_tail[i / lanes];
      V z = expand_load(tail + tails, is_tail, V::load(centre + i));
      tails += __builtin_popcount(mask_bits(is_tail));
      for (int j = 0; j < params; ++j)
        if (!a.broadcast[j]) p[j] = at(a.params[j], i);
      z = numerics::canonical(D::from_normal(upper ? -z : z, p));
      if (i + lanes <= n)
        z.store(a.out + begin + i);
      else
        z.store_n(a.out + begin + i, n - i);
    }
  }
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
