// The standard normal distribution over a lane type F: quantile (double and float), tail probability; and the families Normal,
// LogNormal and HalfNormal. Called by the elementwise kernels and by families that are functions of a normal.
//
// Every coefficient is our own fit (Chebyshev interpolation in 40 to 60 digits, rounded). The quantile is monotone in u by
// construction: each value is a large term that moves by about an ulp or more with its argument, plus a small correction whose
// rounding noise stays below half that step; where two formulas meet, both are clamped to the value between them.
#pragma once
#include <type_traits>

#include "numerics/exp_log.h"

namespace genfast {
namespace numerics {

constexpr double kLogSqrt2Pi = 0x1.d67f1c864beb5p-1;

// tail: e^-2, the probability where centre and tail formula meet; meet: -Phi^-1(tail).
struct NormalF32 : ExpLogF32 {
  static constexpr float tail = 0x1.152aaap-3f, meet = 0x1.19fd30p+0f;
};
struct NormalF64 : ExpLogF64 {
  static constexpr double tail = 0x1.152aaa3bf81ccp-3, meet = 0x1.19fd30bc4de03p+0;
};

// Phi^-1(1/2 + q) / q - 2.75 as a polynomial in z = q^2, |q| <= 1/2 - e^-2; it stays within +-0.27.
template <class F>
GENFAST_INLINE F normal_centre_ratio(F z, NormalF32) {
  F w = F(0x1.a868b8p+18f);
  w = fma(w, z, F(-0x1.4c8528p+17f));
  w = fma(w, z, F(0x1.14d7bp+15f));
  w = fma(w, z, F(-0x1.84bc2ep+11f));
  w = fma(w, z, F(0x1.7a8c2p+8f));
  w = fma(w, z, F(0x1.336ee2p+5f));
  w = fma(w, z, F(0x1.fb3626p+3f));
  w = fma(w, z, F(0x1.715156p+2f));
  w = fma(w, z, F(0x1.4ffe22p+1f));
  w = fma(w, z, F(-0x1.f26cep-3f));
  return w;
}
template <class F>
GENFAST_INLINE F normal_centre_ratio(F z, NormalF64) {
  const F y = z * z;  // even and odd powers apart: half the latency
  F w = F(0x1.ebcc9ee66ed5cp+44);
  w = fma(w, y, F(0x1.2c160277d7ff7p+44));
  w = fma(w, y, F(0x1.71334a40cc3a8p+40));
  w = fma(w, y, F(0x1.fe1ed22f7f3bfp+34));
  w = fma(w, y, F(0x1.eddad979dab7ap+27));
  w = fma(w, y, F(0x1.83bc8f0c38033p+19));
  w = fma(w, y, F(0x1.9c1378c17c1a3p+12));
  w = fma(w, y, F(0x1.f08020f02dbbep+8));
  w = fma(w, y, F(0x1.784953ff20179p+5));
  w = fma(w, y, F(0x1.7171308308ee2p+2));
  w = fma(w, y, F(-0x1.f26ce009d8fa6p-3));
  F v = F(-0x1.178005ee60ccap+45);
  v = fma(v, y, F(-0x1.8ff14797f6f8cp+42));
  v = fma(v, y, F(-0x1.f2ddf8f952cdfp+37));
  v = fma(v, y, F(-0x1.910da0f9e0024p+31));
  v = fma(v, y, F(-0x1.cebcd3d99b235p+23));
  v = fma(v, y, F(-0x1.4913b7b3a6d80p+12));
  v = fma(v, y, F(0x1.a2bb5a84602a4p+10));
  v = fma(v, y, F(0x1.2ba79d2783afcp+7));
  v = fma(v, y, F(0x1.f55d0d50b90adp+3));
  v = fma(v, y, F(0x1.4ffddeaa22c68p+1));
  w = fma(v, z, w);
  return w;
}

// With r = sqrt(-2 log p) = 2.75 + t, Phi^-1(p) = -((r - 0.75) - gap). near: 2 <= r <= 6; far: up to the smallest p.
template <class F>
GENFAST_INLINE F normal_gap_near(F t, NormalF32) {
  F num = F(-0x1.176fdep-12f);
  num = fma(num, t, F(-0x1.35b8d4p-7f));
  num = fma(num, t, F(-0x1.3a6a9ap-4f));
  num = fma(num, t, F(-0x1.44a592p-3f));
  num = fma(num, t, F(0x1.ab655p-11f));
  F den = F(0x1.79cc92p-12f);
  den = fma(den, t, F(0x1.f4761ep-7f));
  den = fma(den, t, F(0x1.6925c6p-3f));
  den = fma(den, t, F(0x1.7845e6p-1f));
  den = fma(den, t, F(0x1.0p+0f));
  return num / den;
}
template <class F>
GENFAST_INLINE F normal_gap_far(F t, NormalF32) {
  F num = F(-0x1.9ed5bcp-11f);
  num = fma(num, t, F(-0x1.dd595ap-6f));
  num = fma(num, t, F(-0x1.4477b6p-3f));
  num = fma(num, t, F(0x1.494a4p-11f));
  F den = F(0x1.175b4ap-10f);
  den = fma(den, t, F(0x1.81171cp-5f));
  den = fma(den, t, F(0x1.bb7b54p-2f));
  den = fma(den, t, F(0x1.0p+0f));
  return num / den;
}
template <class F>
GENFAST_INLINE F normal_gap_near(F t, NormalF64) {
  F num = F(-0x1.31af5b72584eap-24);
  num = fma(num, t, F(-0x1.edf96960786dbp-18));
  num = fma(num, t, F(-0x1.d50e2138ca877p-13));
  num = fma(num, t, F(-0x1.8c7cfba31d5c4p-9));
  num = fma(num, t, F(-0x1.633f8fb846fd3p-6));
  num = fma(num, t, F(-0x1.6402a00c14ae3p-4));
  num = fma(num, t, F(-0x1.78334c401e798p-3));
  num = fma(num, t, F(-0x1.4384ea994a0e9p-3));
  num = fma(num, t, F(0x1.ab654fd8b1ba6p-11));
  F den = F(0x1.99d5465a81fa2p-24);
  den = fma(den, t, F(0x1.651bbb86313d7p-17));
  den = fma(den, t, F(0x1.8036315fb71fap-12));
  den = fma(den, t, F(0x1.7fd60b8f262b5p-8));
  den = fma(den, t, F(0x1.a7067901dd1cfp-5));
  den = fma(den, t, F(0x1.14365ae49b383p-2));
  den = fma(den, t, F(0x1.ab36637bc3e18p-1));
  den = fma(den, t, F(0x1.69091a1615fdep+0));
  den = fma(den, t, F(0x1.0000000000000p+0));
  return num / den;
}
template <class F>
GENFAST_INLINE F normal_gap_far(F t, NormalF64) {
  F num = F(-0x1.0ef3ce1a560d3p-50);
  num = fma(num, t, F(-0x1.1d0e785d3eb29p-40));
  num = fma(num, t, F(-0x1.4696d843fe2c4p-32));
  num = fma(num, t, F(-0x1.2d081503654e1p-25));
  num = fma(num, t, F(-0x1.07b015ed44080p-19));
  num = fma(num, t, F(-0x1.e0adec756985cp-15));
  num = fma(num, t, F(-0x1.e314b48d3fb14p-11));
  num = fma(num, t, F(-0x1.16be53522ebfep-7));
  num = fma(num, t, F(-0x1.761d8582a55e0p-5));
  num = fma(num, t, F(-0x1.10bdecb1a9d12p-3));
  num = fma(num, t, F(-0x1.440d5520931bap-3));
  num = fma(num, t, F(0x1.ab63ef3ae6631p-11));
  F den = F(0x1.697466baef383p-50);
  den = fma(den, t, F(0x1.803d94fcff9f8p-40));
  den = fma(den, t, F(0x1.c1c094ed58968p-32));
  den = fma(den, t, F(0x1.adda66477771ep-25));
  den = fma(den, t, F(0x1.8e6ac9ef1de16p-19));
  den = fma(den, t, F(0x1.8ad7e8a59b150p-14));
  den = fma(den, t, F(0x1.bea8ffdd0d822p-10));
  den = fma(den, t, F(0x1.2e6f9da6af0a4p-6));
  den = fma(den, t, F(0x1.f741fe19d979bp-4));
  den = fma(den, t, F(0x1.f9f6c4f5b06e6p-2));
  den = fma(den, t, F(0x1.17506e55b7f55p+0));
  den = fma(den, t, F(0x1.0000000000000p+0));
  return num / den;
}

// Phi^-1(1/2 + q) for |q| <= 1/2 - tail.
template <class C, class F>
GENFAST_INLINE F normal_quantile_centre(F q) {
  const F x = fma(q, F(2.75), q * normal_centre_ratio(q * q, C()));
  return select(x > F(C::meet), F(C::meet), select(x < F(-C::meet), F(-C::meet), x));
}

// The r of the tail formula, p <= tail.
template <class C, class F>
GENFAST_INLINE F normal_tail_radius(F p) {
  return sqrt(F(-2) * log_any<C>(p));
}

// -Phi^-1(p) from its r and gap.
template <class C, class F>
GENFAST_INLINE F normal_tail_value(F p, F r, F gap) {
  const F x = (r - F(0.75)) - gap;
  return select(p > F(0), max(x, F(C::meet)), F(C::infinity));
}

// Phi^-1(1/2 + q), where p = 1/2 - |q| is given besides because it is more precise than q in the tails.
template <class F>
GENFAST_CALL F normal_quantile(F q, F p) {
  using C = NormalF64;
  const F r = normal_tail_radius<C>(p), t = r - F(2.75);
  const F gap = select(r > F(6), normal_gap_far(t, C()), normal_gap_near(t, C()));
  return select(p <= F(C::tail), copysign(normal_tail_value<C>(p, r, gap), q), normal_quantile_centre<C>(q));
}

// Phi^-1(u), u in [0, 1]. Phi^-1(1 - u) is its exact negative.
template <class F>
GENFAST_INLINE F normal_quantile(F u) {
  return normal_quantile(u - F(0.5), select(u < F(0.5), u, F(1) - u));
}

// e^(a^2/2) Phi(-a): a rational on 1 <= a <= 5.5 and another on 5.5 <= a <= 40, all coefficients positive.
template <class F>
GENFAST_CALL F normal_mills(F a) {
  const auto far = a > F(5.5);
  F num = select(far, F(0x1.2a00018c53f48p-15), F(0x1.f19016babfd61p-21));
  num = fma(num, a, select(far, F(0x1.b08186a9f01d3p-12), F(0x1.b9a15070d2b16p-16)));
  num = fma(num, a, select(far, F(0x1.d50d98674f8f5p-9), F(0x1.7dfab96ade3c4p-12)));
  num = fma(num, a, select(far, F(0x1.45ab002f83db5p-6), F(0x1.a0f9fa46f0780p-9)));
  num = fma(num, a, select(far, F(0x1.59229d5f5e960p-4), F(0x1.3a6d0744e0836p-6)));
  num = fma(num, a, select(far, F(0x1.0ab8a584e4d78p-2), F(0x1.52c5a0dfa1dbbp-4)));
  num = fma(num, a, select(far, F(0x1.3250248f26d92p-1), F(0x1.04fbbae376a2ap-2)));
  num = fma(num, a, select(far, F(0x1.ecb3f74d8373ap-1), F(0x1.16a8a2a049224p-1)));
  num = fma(num, a, select(far, F(0x1.fc3525ba21e95p-1), F(0x1.7a7f2bdfd7e51p-1)));
  num = fma(num, a, select(far, F(0x1.ffb69c01a13dap-2), F(0x1.fffffffffccb3p-2)));
  F den = select(far, F(0x1.757cd62401c90p-14), F(0x1.37cd2060a1395p-19));
  den = fma(den, a, select(far, F(0x1.0f086d4bea261p-10), F(0x1.14c02a3956840p-14)));
  den = fma(den, a, select(far, F(0x1.28da72fdb5103p-7), F(0x1.dff5495071cbcp-11)));
  den = fma(den, a, select(far, F(0x1.a0a251338a027p-5), F(0x1.07769edacf3adp-7)));
  den = fma(den, a, select(far, F(0x1.c291aed6183c0p-3), F(0x1.918447abe6c88p-5)));
  den = fma(den, a, select(far, F(0x1.66bcb1f11e0f4p-1), F(0x1.b8a6086329c96p-3)));
  den = fma(den, a, select(far, F(0x1.b19cafdfe8f22p+0), F(0x1.5ecd26352f9f5p-1)));
  den = fma(den, a, select(far, F(0x1.7ce53d6d457f1p+1), F(0x1.8e66e77774051p+0)));
  den = fma(den, a, select(far, F(0x1.d2fe416394dd2p+1), F(0x1.33d0a7abbb682p+1)));
  den = fma(den, a, select(far, F(0x1.63ee09ef45814p+1), F(0x1.2360aabf3457cp+1)));
  den = fma(den, a, select(far, F(0x1.0000000000000p+0), F(0x1.0000000000000p+0)));
  return num / den;
}

// e^(-a^2/2) without the rounding error of a^2; 0 below 2^-1022.
template <class F>
GENFAST_INLINE F exp_minus_half_square(F a) {
  a = select(a > F(40), F(40), a);
  const F square = a * a;
  const F e = exp_nonpositive_f64(F(-0.5) * square);
  return fma(F(-0.5) * fma(a, a, -square), e, e);
}

// Phi(-a) for a >= 1, accurate relative to itself down to 2^-1022, below which it is 0.
template <class F>
GENFAST_INLINE F normal_upper(F a) {
  return exp_minus_half_square(a) * normal_mills(select(a > F(40), F(40), a));
}

// Phi(z) - 1/2 for |z| <= 1.
template <class F>
GENFAST_INLINE F normal_cdf_centre(F z) {
  const F t = z * z;
  F e = F(-0x1.7a5682ccf26cbp-43);
  e = fma(e, t, F(0x1.5fc563731df04p-38));
  e = fma(e, t, F(-0x1.f0475d56c92cbp-34));
  e = fma(e, t, F(0x1.3872ebe9e887bp-29));
  e = fma(e, t, F(-0x1.62222efee1021p-25));
  e = fma(e, t, F(0x1.658a1fe22b1c1p-21));
  e = fma(e, t, F(-0x1.3ce8faba39bbcp-17));
  e = fma(e, t, F(0x1.e42b0d51ee1dbp-14));
  e = fma(e, t, F(-0x1.37403f6ba0cb0p-10));
  e = fma(e, t, F(0x1.46d04297691d3p-7));
  e = fma(e, t, F(-0x1.1058377e2cee0p-4));
  e = fma(e, t, F(0x1.9884533d43651p-2));
  return z * e;
}

// Phi(z) for any z.
template <class F>
static GENFAST_HD F normal_cdf(F z) {
  const F a = abs(z);
  const F tail = normal_upper(a);
  return select(a < F(1), F(0.5) + normal_cdf_centre(z), select(z < F(0), tail, F(1) - tail));
}

// A family with from_normal is that function of a standard normal, increasing: icdf(u) = from_normal(Phi^-1(u), p). The kernels
// compute Phi^-1 their own way, for float too where float_kernel says so. Of other families both are false.
template <class D, class = void>
struct OfNormal {
  static constexpr bool value = false, float_kernel = false;
};
template <class D>
struct OfNormal<D, std::void_t<decltype(D::float_kernel)>> {
  static constexpr bool value = true, float_kernel = D::float_kernel;
};

// p = loc, scale.
struct NormalFamily {
  static constexpr bool float_kernel = true;
  template <class F>
  static GENFAST_HD F from_normal(F z, const F* p) {
    return fma(p[1], z, p[0]);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return normal_cdf((x - p[0]) / p[1]);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return normal_cdf((p[0] - x) / p[1]);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F z = (x - p[0]) / p[1];
    return fma(F(-0.5) * z, z, -(log_f64(p[1]) + F(kLogSqrt2Pi)));
  }
};

// p = loc, scale of the logarithm.
struct LogNormalFamily {
  static constexpr bool float_kernel = false;
  template <class F>
  static GENFAST_HD F from_normal(F z, const F* p) {
    return exp_f64(fma(p[1], z, p[0]));
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return select(x <= F(0), F(0), normal_cdf((log_f64(x) - p[0]) / p[1]));
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return select(x <= F(0), F(1), normal_cdf((p[0] - log_f64(x)) / p[1]));
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F y = log_f64(x), z = (y - p[0]) / p[1];
    const F value = fma(F(-0.5) * z, z, -(y + (log_f64(p[1]) + F(kLogSqrt2Pi))));
    return select(x <= F(0), F(-ExpLogF64::infinity), select(x < F(ExpLogF64::infinity), value, -x));
  }
};

// p = scale: |Z| scale.
struct HalfNormalFamily {
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return p[0] * normal_quantile(F(0.5) * u, F(0.5) - F(0.5) * u);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return p[0] * normal_quantile(F(0.5) - F(0.5) * q, F(0.5) * q);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    const F z = x / p[0];
    return select(z <= F(0), F(0), select(z < F(1), F(2) * normal_cdf_centre(z), F(1) - F(2) * normal_upper(z)));
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    const F z = x / p[0];
    return select(z <= F(0), F(1), select(z < F(1), F(1) - F(2) * normal_cdf_centre(z), F(2) * normal_upper(z)));
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F z = x / p[0];
    const F value = fma(F(-0.5) * z, z, -(log_f64(p[0]) + F(kLogSqrt2Pi - ExpLogF64::ln2)));
    return select(x < F(0), F(-ExpLogF64::infinity), value);
  }
};

}  // namespace numerics
}  // namespace genfast
