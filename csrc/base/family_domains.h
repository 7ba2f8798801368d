// Which parameters make a distribution of each family: the rules of the Python classes (genfast/distributions), for whoever gets
// parameters from a network. Called by the heads of the engine and of devices; the kernels assume it. No arithmetic beyond
// comparisons.
#pragma once
#include "base/families.h"
#include "base/host_device.h"

namespace genfast {

GENFAST_HD inline bool is_finite(double x) { return x - x == 0.0; }
GENFAST_HD inline bool is_positive(double x) { return x > 0.0 && is_finite(x); }

// p: the family's parameters in order. False for NaN and infinities, always.
GENFAST_HD inline bool in_domain(Family family, const double* p) {
  constexpr double kMost = 1e300, kLargest = 0x1p53;
  const auto up_to = [](double x, double most) { return x > 0.0 && x <= most; };
  const auto fraction = [](double x) { return x >= 0.0 && x <= 1.0; };
  const auto count = [](double x, double most) {
    return x >= 0.0 && x <= most && x == static_cast<double>(static_cast<int64_t>(x));
  };
  const auto beta_shapes = [](double a, double b) {
    const auto good = [](double x) { return x >= 1e-10 && x <= 1e15; };
    return good(a) && good(b) && a <= 1e18 * b && b <= 1e18 * a;
  };
  switch (family) {
    case Family::Uniform:
      return is_finite(p[0]) && is_finite(p[1]) && is_positive(p[1] - p[0]);
    case Family::Normal:
    case Family::LogNormal:
    case Family::Laplace:
    case Family::Logistic:
    case Family::Cauchy:
    case Family::Gumbel:
      return is_finite(p[0]) && is_positive(p[1]);
    case Family::HalfNormal:
    case Family::Exponential:
    case Family::Rayleigh:
      return is_positive(p[0]);
    case Family::Weibull:
    case Family::Pareto:
    case Family::Kumaraswamy:
      return is_positive(p[0]) && is_positive(p[1]);
    case Family::Triangular:
      return is_finite(p[0]) && is_finite(p[2]) && is_positive(p[2] - p[0]) && p[0] <= p[1] && p[1] <= p[2];
    case Family::Gamma:
    case Family::InverseGamma:
      return up_to(p[0], kMost) && is_positive(p[1]);
    case Family::Chi2:
      return up_to(p[0], kMost);
    case Family::Beta:
    case Family::F:
      return beta_shapes(p[0], p[1]);
    case Family::StudentT:
      return up_to(p[0], kMost) && is_finite(p[1]) && is_positive(p[2]);
    case Family::Poisson:
      return p[0] >= 0.0 && p[0] <= kLargest;
    case Family::Binomial:
      return count(p[0], kLargest) && fraction(p[1]);
    case Family::NegativeBinomial:
      return up_to(p[0], kMost) && up_to(p[1], 1.0);
    case Family::Geometric:
      return up_to(p[0], 1.0);
    case Family::Bernoulli:
      return fraction(p[0]);
    case Family::DiscreteUniform: {
      const auto integer = [&](double x) { return count(x < 0.0 ? -x : x, kLargest / 2); };
      return integer(p[0]) && integer(p[1]) && p[0] <= p[1] && p[1] - p[0] < kLargest;
    }
    case Family::Hypergeometric:
      return count(p[0], 1e9) && count(p[1], 1e9) && count(p[2], 1e9) && p[0] + p[1] <= 1e9 && p[2] <= p[0] + p[1];
    case Family::VonMises:
      return is_finite(p[0]) && p[1] >= 0.0 && p[1] <= kMost;
    case Family::count:
      break;
  }
  return false;
}

// Whether draws are integers.
GENFAST_HD inline bool is_discrete(Family family) {
  switch (family) {
#define X(name, params) case Family::name:
    GENFAST_DISCRETE_FAMILIES(X)
#undef X
    return true;
    default:
      return false;
  }
}

}  // namespace genfast
