// One value of a family's function, for the device and for the host. A family is its struct in numerics/. Called by the programs of
// sampling/ and by the heads of decode/; it checks no argument.
#pragma once
#include <type_traits>

#include "base/families.h"
#include "numerics/normal.h"

namespace genfast {
namespace cuda {

// takes_probability() of base/families.h, which knows no device.
GENFAST_INLINE bool inverts(FamilyFn fn) { return fn == FamilyFn::icdf || fn == FamilyFn::iccdf; }

template <class F>
struct NormalConstants {
  using type = numerics::NormalF64;
};
template <>
struct NormalConstants<float> {
  using type = numerics::NormalF32;
};

// Phi^-1(u) as kernels/normal-inl.h computes it, with a branch where that gathers lanes.
template <class F>
GENFAST_HD F standard_normal(F u) {
  using C = typename NormalConstants<F>::type;
  const F q = u - F(0.5f), m = q < F(0) ? u : F(1) - u;
  if (!(m <= F(C::tail))) return numerics::normal_quantile_centre<C>(q);
  const F r = numerics::normal_tail_radius<C>(m), t = r - F(2.75f);
  const F gap = r > F(6) ? numerics::normal_gap_far(t, C()) : numerics::normal_gap_near(t, C());
  return numerics::copysign(numerics::normal_tail_value<C>(m, r, gap), q);
}

template <class D, class F>
GENFAST_HD F family_value(FamilyFn fn, F x, const F* p) {
  if constexpr (numerics::OfNormal<D>::value) {
    if (inverts(fn)) {
      const F z = standard_normal(x);
      return D::from_normal(fn == FamilyFn::iccdf ? -z : z, p);
    }
  } else {
    if (fn == FamilyFn::icdf) return D::icdf(x, p);
    if (fn == FamilyFn::iccdf) return D::iccdf(x, p);
  }
  if constexpr (std::is_same_v<F, double>) {
    if (fn == FamilyFn::cdf) return D::cdf(x, p);
    if (fn == FamilyFn::ccdf) return D::ccdf(x, p);
    return D::log_prob(x, p);
  }
  return x;
}

}  // namespace cuda
}  // namespace genfast
