// One element of a family's functions, for the device and for the host. Included by the group files; a family is its struct in
// numerics/.
#pragma once
#include "base/family_domains.h"
#include "cuda/family_value.h"
#include "cuda/sampling/argument.h"
#include "cuda/sampling/elementwise.h"

namespace genfast {
namespace cuda {

template <Family family, class D, int params, class F>
GENFAST_HD F element_in(const ElementwiseArgs& a, int64_t i) {
  const F x = argument<F>(a.x, i);
  if (inverts(a.fn) && !(x >= F(0) && x <= F(1))) return F(__builtin_nanf(""));
  double given[params];
  F p[params];
  for (int j = 0; j < params; ++j) {
    given[j] = at(a.params[j], i);
    p[j] = static_cast<F>(given[j]);
  }
  if (a.unchecked && !in_domain(family, given)) return F(__builtin_nanf(""));
  return numerics::canonical(family_value<D, F>(a.fn, x, p));
}

template <Family family, class D, int params>
GENFAST_HD void element(const ElementwiseArgs& a, int64_t i) {
  if constexpr (numerics::OfNormal<D>::float_kernel) {
    if (inverts(a.fn) && a.out.f32 && !a.x.x64) {
      a.out.f32[i] = element_in<family, D, params, float>(a, i);
      return;
    }
  }
  store(a.out, i, element_in<family, D, params, double>(a, i));
}

template <Family family, class D, int params, class Executor>
GENFAST_HD void evaluate_family(Executor& executor, const ElementwiseArgs& a) {
  executor.each(a.n, [&](int64_t i) { element<family, D, params>(a, i); });
}

// Every program of this room is a struct like this one: what Runner hands to the executor of the place.
template <Family family, class D, int params>
struct FamilyProgram {
  static constexpr const char* name = "elementwise";
  template <class Executor>
  static GENFAST_HD void run(Executor& executor, const ElementwiseArgs& a) {
    evaluate_family<family, D, params>(executor, a);
  }
};

}  // namespace cuda
}  // namespace genfast
