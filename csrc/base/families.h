// The names of the distribution families and of the functions each has: one list, shared by the kernels (tables of function
// pointers indexed by it), the samplers and the bindings (names). It holds no arithmetic.
//
// A new family: a line here, a struct of the same name + "Family" in numerics/, and a Python class. A group is what one
// kernels/targets/<target>_<group>.cc compiles, so that the groups compile in parallel.
#pragma once
#include <cstdint>

namespace genfast {

inline constexpr int kMaxFamilyParams = 4;

// X(name, parameters), the parameters in the order of the Python constructor.
#define GENFAST_CLOSED_FORM_FAMILIES(X) \
  X(Uniform, 2)                         \
  X(Normal, 2)                          \
  X(LogNormal, 2)                       \
  X(HalfNormal, 1)                      \
  X(Exponential, 1)                     \
  X(Laplace, 2)                         \
  X(Logistic, 2)                        \
  X(Cauchy, 2)                          \
  X(Gumbel, 2) X(Weibull, 2) X(Pareto, 2) X(Rayleigh, 1) X(Triangular, 3) X(Kumaraswamy, 2)

#define GENFAST_GAMMA_FAMILIES(X) X(Gamma, 2) X(InverseGamma, 2) X(Chi2, 1)
#define GENFAST_BETA_FAMILIES(X) X(Beta, 2) X(F, 2) X(StudentT, 3)
#define GENFAST_DISCRETE_FAMILIES(X) \
  X(Poisson, 1) X(Binomial, 2) X(NegativeBinomial, 2) X(Geometric, 1) X(Bernoulli, 1) X(DiscreteUniform, 2) X(Hypergeometric, 3)
#define GENFAST_CIRCULAR_FAMILIES(X) X(VonMises, 2)

#define GENFAST_FAMILIES(X) \
  GENFAST_CLOSED_FORM_FAMILIES(X) GENFAST_GAMMA_FAMILIES(X) GENFAST_BETA_FAMILIES(X) GENFAST_DISCRETE_FAMILIES(X) \
  GENFAST_CIRCULAR_FAMILIES(X)

enum class Family : uint8_t {
#define X(name, params) name,
  GENFAST_FAMILIES(X)
#undef X
      count
};

// icdf(u) = F^-1(u); iccdf(q) = F^-1(1 - q) without forming 1 - q; ccdf = 1 - F.
#define GENFAST_FAMILY_FNS(X) X(icdf) X(iccdf) X(cdf) X(ccdf) X(log_prob)

enum class FamilyFn : uint8_t {
#define X(name) name,
  GENFAST_FAMILY_FNS(X)
#undef X
      count
};

struct FamilyInfo {
  const char* name;
  int params;
};

inline const FamilyInfo& info(Family family) {
  static const FamilyInfo table[] = {
#define X(name, params) {#name, params},
      GENFAST_FAMILIES(X)
#undef X
  };
  return table[static_cast<int>(family)];
}

inline const char* name(FamilyFn fn) {
  static const char* const table[] = {
#define X(name) #name,
      GENFAST_FAMILY_FNS(X)
#undef X
  };
  return table[static_cast<int>(fn)];
}

// Whether a function's argument is a probability, which the samplers check to be in [0, 1].
constexpr bool takes_probability(FamilyFn fn) { return fn == FamilyFn::icdf || fn == FamilyFn::iccdf; }

}  // namespace genfast
