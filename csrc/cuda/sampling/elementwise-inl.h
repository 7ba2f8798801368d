// One element of a family's functions, for the device and for the host. Included by the group files; a family is its struct in
// numerics/.
#pragma once
#include <type_traits>

#include "cuda/sampling/argument.h"
#include "cuda/sampling/elementwise.h"
#include "numerics/normal.h"

namespace genfast {
namespace cuda {

template <class D, class = void>
struct OfNormal {
  static constexpr bool value = false, float_kernel = false;
};
template <class D>
struct OfNormal<D, std::void_t<decltype(D::float_kernel)>> {
  static constexpr bool value = true, float_kernel = D::float_kernel;
};

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
  if constexpr (OfNormal<D>::value) {
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

template <class D, int params, class F>
GENFAST_HD F element_in(const ElementwiseArgs& a, int64_t i) {
  const F x = argument<F>(a.x, i);
  if (inverts(a.fn) && !(x >= F(0) && x <= F(1))) return F(__builtin_nanf(""));
  F p[params];
  for (int j = 0; j < params; ++j) p[j] = static_cast<F>(at(a.params[j], i));
  return numerics::canonical(family_value<D, F>(a.fn, x, p));
}

template <class D, int params>
GENFAST_HD void element(const ElementwiseArgs& a, int64_t i) {
  if constexpr (OfNormal<D>::float_kernel) {
    if (inverts(a.fn) && a.out.f32 && !a.x.x64) {
      a.out.f32[i] = element_in<D, params, float>(a, i);
      return;
    }
  }
  store(a.out, i, element_in<D, params, double>(a, i));
}

template <class D, int params, class Executor>
GENFAST_HD void evaluate_family(Executor& executor, const ElementwiseArgs& a) {
  executor.each(a.n, [&](int64_t i) { element<D, params>(a, i); });
}

// Every program of this room is a struct like this one: what Runner hands to the executor of the place.
template <class D, int params>
struct FamilyProgram {
  static constexpr const char* name = "elementwise";
  template <class Executor>
  static GENFAST_HD void run(Executor& executor, const ElementwiseArgs& a) {
    evaluate_family<D, params>(executor, a);
  }
};

}  // namespace cuda
}  // namespace genfast
