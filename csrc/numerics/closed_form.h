// Continuous families whose quantile is a closed form of elementary functions, over a double lane type F. Called by the elementwise
// kernels; each struct has the five functions of FamilyFn with parameters in the order of the Python constructor. Parameters
// are valid and probabilities in [0, 1]; x is anything, and NaN gives NaN.
#pragma once
#include "numerics/exp_log.h"
#include "numerics/normal.h"
#include "numerics/trig.h"

namespace genfast {
namespace numerics {

constexpr double kInfinity = __builtin_inf(), kLogPi = 0x1.250d048e7a1bdp+0, kLn2 = ExpLogF64::ln2;

// value where x is inside [low, high], `outside` elsewhere, NaN for NaN.
template <class F>
GENFAST_INLINE F inside(F x, F low, F high, F value, F outside) {
  return select(x < low, outside, select(x > high, outside, select(x == x, value, x)));
}

// log(1 - e^t) for t <= 0, whichever of the two forms keeps the digits (Maechler, "Accurately computing log(1 - exp(-|a|))", 2012).
template <class F>
static GENFAST_HD F log1m_exp(F t) {
  const auto near = t > F(-kLn2);
  return select(near, log_f64(-expm1_nonpositive_f64(t)), log1p_f64(-exp_nonpositive_f64(t)));
}

// -log(1 - u), -log(q): the exponential variables of a lower and an upper probability; zero is +0.
template <class F>
static GENFAST_HD F exponential_lower(F u) {
  return F(0) - log1p_f64(-u);
}
template <class F>
static GENFAST_HD F exponential_upper(F q) {
  return F(0) - log_f64(q);
}

// p = low, high.
struct UniformFamily {
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    const F x = fma(u, p[1] - p[0], p[0]);
    return select(x > p[1], p[1], x);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    const F x = fma(q, p[0] - p[1], p[1]);
    return select(x < p[0], p[0], x);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return select(x <= p[0], F(0), select(x >= p[1], F(1), (x - p[0]) / (p[1] - p[0])));
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return select(x <= p[0], F(1), select(x >= p[1], F(0), (p[1] - x) / (p[1] - p[0])));
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    return inside(x, p[0], p[1], -log_f64(p[1] - p[0]), F(-kInfinity));
  }
};

// p = scale.
struct ExponentialFamily {
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return p[0] * exponential_lower(u);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return p[0] * exponential_upper(q);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return select(x <= F(0), F(0), F(0) - expm1_nonpositive_f64(-x / p[0]));
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return select(x <= F(0), F(1), exp_nonpositive_f64(-x / p[0]));
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    return select(x < F(0), F(-kInfinity), -x / p[0] - log_f64(p[0]));
  }
};

// p = loc, scale.
struct LaplaceFamily {
  // log(2 min(u, 1 - u)) with the sign of 1/2 - u.
  template <class F>
  static GENFAST_HD F standard(F u) {
    const auto low = u < F(0.5);
    const F y = log_f64(F(2) * select(low, u, F(1) - u));
    return select(low, y, -y);
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return fma(p[1], standard(u), p[0]);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return fma(-p[1], standard(q), p[0]);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    const F z = (x - p[0]) / p[1];
    const F e = F(0.5) * exp_nonpositive_f64(-abs(z));
    return select(z < F(0), e, F(1) - e);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    const F z = (x - p[0]) / p[1];
    const F e = F(0.5) * exp_nonpositive_f64(-abs(z));
    return select(z > F(0), e, F(1) - e);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    return -abs((x - p[0]) / p[1]) - (log_f64(p[1]) + F(kLn2));
  }
};

// p = loc, scale.
struct LogisticFamily {
  // log(u / (1 - u)) = log1p(2 a / m) with m = min(u, 1 - u), a = 1/2 - m: no cancellation at 1/2. Below 2^-60 it is log(m).
  template <class F>
  static GENFAST_HD F standard(F u) {
    const auto low = u < F(0.5);
    const F m = select(low, u, F(1) - u);
    const F y = select(m < F(0x1p-60), -log_f64(m), log1p_f64((F(1) - F(2) * m) / m));
    return select(low, -y, y);
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return fma(p[1], standard(u), p[0]);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return fma(-p[1], standard(q), p[0]);
  }
  template <class F>
  static GENFAST_HD F sigmoid(F z) {
    const F e = exp_nonpositive_f64(-abs(z));
    return select(z < F(0), e, F(1)) / (F(1) + e);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return sigmoid((x - p[0]) / p[1]);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return sigmoid((p[0] - x) / p[1]);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F a = abs((x - p[0]) / p[1]);
    return -a - fma(F(2), log1p_unit_f64(exp_nonpositive_f64(-a)), log_f64(p[1]));
  }
};

// p = loc, scale.
struct CauchyFamily {
  // tan(pi (u - 1/2)): the tangent near the centre, its reciprocal in the tails.
  template <class F>
  static GENFAST_HD F standard(F u) {
    const auto low = u < F(0.5);
    const F m = select(low, u, F(1) - u);
    const auto tail = m < F(0.25);
    const F t = tanpi_quarter(select(tail, m, F(0.5) - m));
    const F y = select(tail, F(1) / t, t);
    return select(low, -y, y);
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return fma(p[1], standard(u), p[0]);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return fma(-p[1], standard(q), p[0]);
  }
  template <class F>
  static GENFAST_HD F standard_cdf(F z) {
    const F a = abs(z);
    const F v = atan_unit_over_pi(select(a > F(1), F(1) / a, a));
    const F low = select(a > F(1), v, F(0.5) - v);
    return select(z < F(0), low, F(1) - low);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return standard_cdf((x - p[0]) / p[1]);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return standard_cdf((p[0] - x) / p[1]);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F a = abs((x - p[0]) / p[1]);
    const F square = select(a > F(0x1p+100), F(2) * log_f64(a), log1p_f64(a * a));
    return -square - (log_f64(p[1]) + F(kLogPi));
  }
};

// p = loc, scale: the largest-value form.
struct GumbelFamily {
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return fma(-p[1], log_f64(exponential_upper(u)), p[0]);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return fma(-p[1], log_f64(exponential_lower(q)), p[0]);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return exp_nonpositive_f64(-exp_f64((p[0] - x) / p[1]));
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return F(0) - expm1_nonpositive_f64(-exp_f64((p[0] - x) / p[1]));
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F z = (x - p[0]) / p[1];
    const F value = -(z + exp_f64(-z)) - log_f64(p[1]);
    return select(z == F(-kInfinity), z, value);
  }
};

// p = shape, scale.
struct WeibullFamily {
  template <class F>
  static GENFAST_HD F quantile(F exponential, const F* p) {
    return p[1] * exp_f64(log_f64(exponential) / p[0]);
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return quantile(exponential_lower(u), p);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return quantile(exponential_upper(q), p);
  }
  // (x / scale)^shape.
  template <class F>
  static GENFAST_HD F hazard(F x, const F* p) {
    return exp_f64(p[0] * log_f64(x / p[1]));
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return select(x <= F(0), F(0), F(0) - expm1_nonpositive_f64(-hazard(x, p)));
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return select(x <= F(0), F(1), exp_nonpositive_f64(-hazard(x, p)));
  }
  // At 0 the density is infinite, 1 / scale or 0, as the shape is below, at or above 1.
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F z = x / p[1];
    const F power = select(p[0] == F(1), F(0), (p[0] - F(1)) * log_f64(z));
    const F hazard = exp_f64(p[0] * log_f64(z));
    const F value = log_f64(p[0] / p[1]) + (power - hazard);
    const F at_zero = select(p[0] < F(1), F(kInfinity), select(p[0] > F(1), F(-kInfinity), value));
    return select((x < F(0)) | (hazard == F(kInfinity)), F(-kInfinity), select(x == F(0), at_zero, value));
  }
};

// p = shape, scale: x >= scale.
struct ParetoFamily {
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return p[1] * exp_f64(exponential_lower(u) / p[0]);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return p[1] * exp_f64(exponential_upper(q) / p[0]);
  }
  // log(x / scale), accurate next to the scale too.
  template <class F>
  static GENFAST_HD F log_ratio(F x, const F* p) {
    const F near = log1p_f64((x - p[1]) / p[1]);
    return select(x < F(2) * p[1], near, log_f64(x / p[1]));
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return select(x <= p[1], F(0), F(0) - expm1_nonpositive_f64(-p[0] * log_ratio(x, p)));
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return select(x <= p[1], F(1), exp_nonpositive_f64(-p[0] * log_ratio(x, p)));
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F fall = (p[0] + F(1)) * log_ratio(x, p);
    return select((x < p[1]) | (fall == F(kInfinity)), F(-kInfinity), log_f64(p[0] / p[1]) - fall);
  }
};

// p = scale.
struct RayleighFamily {
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return p[0] * sqrt(F(2) * exponential_lower(u));
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return p[0] * sqrt(F(2) * exponential_upper(q));
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    const F z = x / p[0];
    return select(z <= F(0), F(0), F(0) - expm1_nonpositive_f64(F(-0.5) * z * z));
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    const F z = x / p[0];
    return select(z <= F(0), F(1), exp_minus_half_square(z));
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F z = x / p[0];
    const F value = log_f64(z) - fma(F(0.5) * z, z, log_f64(p[0]));
    return select((x < F(0)) | (z == F(kInfinity)), F(-kInfinity), value);
  }
};

// p = low, mode, high. Both halves are clamped to the mode, where they meet.
struct TriangularFamily {
  template <class F>
  static GENFAST_HD F least(F a, F b) {
    return select(a < b, a, b);
  }
  // x from the end of its side, or, past the side's middle in probability, from the mode: then a side that is the whole support
  // (mode = low or high) keeps its far tail. `*_half` is where the two meet, so that neither passes the other.
  // u is a probability below, q one above; each is exact on its own side.
  template <class F>
  static GENFAST_HD F quantile(F u, F q, const F* p) {
    const F width = p[2] - p[0], left = p[1] - p[0], right = p[2] - p[1], half = F(0.5) * width;
    const F low_root = sqrt((u * width) * left), high_root = sqrt((q * width) * right);
    const F low_half = p[0] + sqrt(half * left), high_half = p[2] - sqrt(half * right);
    const F below = fma(u, width, -left), above = fma(q, width, -right);  // probability past the mode, times the width
    const F low = select(u <= F(0.5), least(p[0] + low_root, low_half), max(p[1] - left * (above / (left + low_root)), low_half));
    const F high =
        select(q <= F(0.5), max(p[2] - high_root, high_half), least(p[1] + right * (below / (right + high_root)), high_half));
    return select(u * width <= left, least(low, p[1]), max(high, p[1]));
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return quantile(u, F(1) - u, p);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return quantile(F(1) - q, q, p);
  }
  template <class F>
  static GENFAST_HD F lower(F x, const F* p) {
    return ((x - p[0]) / (p[2] - p[0])) * ((x - p[0]) / (p[1] - p[0]));
  }
  template <class F>
  static GENFAST_HD F upper(F x, const F* p) {
    return ((p[2] - x) / (p[2] - p[0])) * ((p[2] - x) / (p[2] - p[1]));
  }
  // The probability between the mode and x, of the side that is `side` wide.
  template <class F>
  static GENFAST_HD F from_mode(F distance, F side, const F* p) {
    return (distance / (p[2] - p[0])) * ((F(2) * side - distance) / side);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    const F width = p[2] - p[0], left = p[1] - p[0], right = p[2] - p[1], q = upper(x, p);
    const F past = select(q > F(0.5), left / width + from_mode(x - p[1], right, p), F(1) - q);
    return select(x <= p[0], F(0), select(x >= p[2], F(1), select(x < p[1], lower(x, p), past)));
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    const F width = p[2] - p[0], left = p[1] - p[0], right = p[2] - p[1], u = lower(x, p);
    const F before = select(u > F(0.5), right / width + from_mode(p[1] - x, left, p), F(1) - u);
    return select(x <= p[0], F(1), select(x >= p[2], F(0), select(x < p[1], before, upper(x, p))));
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F height = F(2) / (p[2] - p[0]);
    const F rise = select(x < p[1], (x - p[0]) / (p[1] - p[0]), (p[2] - x) / (p[2] - p[1]));
    const F value = log_f64(select(x == p[1], F(1), rise)) + log_f64(height);
    return inside(x, p[0], p[2], value, F(-kInfinity));
  }
};

// p = a, b: F(x) = 1 - (1 - x^a)^b on [0, 1].
struct KumaraswamyFamily {
  // e = -log(1 - F).
  template <class F>
  static GENFAST_HD F quantile(F e, const F* p) {
    return exp_f64(log1m_exp(-e / p[1]) / p[0]);
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return quantile(exponential_lower(u), p);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return quantile(exponential_upper(q), p);
  }
  // log(1 - F(x)) for 0 < x < 1.
  template <class F>
  static GENFAST_HD F log_upper(F x, const F* p) {
    return p[1] * log1m_exp(p[0] * log_f64(x));
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return select(x <= F(0), F(0), select(x >= F(1), F(1), F(0) - expm1_nonpositive_f64(log_upper(x, p))));
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return select(x <= F(0), F(1), select(x >= F(1), F(0), exp_nonpositive_f64(log_upper(x, p))));
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F y = log_f64(x);
    const F left = select(p[0] == F(1), F(0), (p[0] - F(1)) * y);
    const F right = select(p[1] == F(1), F(0), (p[1] - F(1)) * log1m_exp(p[0] * y));
    return inside(x, F(0), F(1), (log_f64(p[0]) + log_f64(p[1])) + (left + right), F(-kInfinity));
  }
};

}  // namespace numerics
}  // namespace genfast
