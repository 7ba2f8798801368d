// out[i] = fn(x[i]; params[i]) for every family of base/families.h: one loop nest for all of them, and the macro that defines a
// family's row of function pointers. Included once per group and target by the <group>-inl.h files.
namespace genfast {
namespace GENFAST_NS {
namespace {

template <class D, FamilyFn fn, class F>
GENFAST_INLINE F family_value(F x, const F* p) {
  if constexpr (fn == FamilyFn::icdf) return D::icdf(x, p);
  if constexpr (fn == FamilyFn::iccdf) return D::iccdf(x, p);
  if constexpr (fn == FamilyFn::cdf) return D::cdf(x, p);
  if constexpr (fn == FamilyFn::ccdf) return D::ccdf(x, p);
  if constexpr (fn == FamilyFn::log_prob) return D::log_prob(x, p);
}

// Lanes past n repeat the last block's first element, so that iterative formulas never meet a value nobody checked.
template <class D, int params, FamilyFn fn>
void elementwise(const ElementArgs& a) {
  using lanes = family_lanes;
  lanes p[params];
  for (int j = 0; j < params; ++j) p[j] = lanes(a.n > 0 ? a.params[j][0] : 0.0);
  for (int64_t i = 0; i < a.n; i += kFamilyLanes) {
    const int64_t left = a.n - i;
    const bool full = left >= kFamilyLanes;
    const auto at = [&](const double* from) { return full ? lanes::load(from + i) : lanes::load_n(from + i, left, from[i]); };
    for (int j = 0; j < params; ++j)
      if (!a.broadcast[j]) p[j] = at(a.params[j]);
    const lanes y = numerics::canonical(family_value<D, fn>(at(a.x), p));
    if (full)
      y.store(a.out + i);
    else
      y.store_n(a.out + i, left);
  }
}

template <class D, int params, FamilyFn fn>
constexpr ElementFn element_kernel() {
  if constexpr (numerics::OfNormal<D>::value && takes_probability(fn))
    return normal_quantiles<D, params, fn == FamilyFn::iccdf, double>;
  else
    return elementwise<D, params, fn>;
}
template <class D, int params, bool upper>
constexpr ElementF32Fn element_kernel_f32() {
  if constexpr (numerics::OfNormal<D>::float_kernel)
    return normal_quantiles<D, params, upper, float>;
  else
    return nullptr;
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast

// The kernels of one family: <target>_<family>_kernels.
#define GENFAST_FAMILY_ROW(name, params)                                                     \
  extern const FamilyKernels GENFAST_FAMILY_SYMBOL(GENFAST_NS, name) = {                     \
      {GENFAST_NS::element_kernel<numerics::name##Family, params, FamilyFn::icdf>(),         \
       GENFAST_NS::element_kernel<numerics::name##Family, params, FamilyFn::iccdf>(),        \
       GENFAST_NS::element_kernel<numerics::name##Family, params, FamilyFn::cdf>(),          \
       GENFAST_NS::element_kernel<numerics::name##Family, params, FamilyFn::ccdf>(),         \
       GENFAST_NS::element_kernel<numerics::name##Family, params, FamilyFn::log_prob>()},    \
      {GENFAST_NS::element_kernel_f32<numerics::name##Family, params, false>(),              \
       GENFAST_NS::element_kernel_f32<numerics::name##Family, params, true>()}};
