// The standard normal distribution over a double lane type F: quantile, tail probability, density; and the Normal family. Called
// by the elementwise kernels and by families that are functions of a normal.
//
// Every coefficient is our own fit (Chebyshev interpolation in 60 digits, rounded to double). The quantile is monotone in u by
// construction: each value is a large term that moves by at least an ulp with its argument, plus a small correction whose
// rounding noise is below half that step.
#pragma once
#include "numerics/exp_log.h"

namespace genfast {
namespace numerics {

constexpr double kNormalTail = 0x1.152aaa3bf81ccp-3;  // e^-2: below this probability the tail formula holds
constexpr double kLogSqrt2Pi = 0x1.d67f1c864beb5p-1;

// Phi^-1(1/2 + q) for |q| <= 1/2 - e^-2: 2.75 q plus a correction of at most q / 4 either way.
template <class F>
GENFAST_INLINE F normal_quantile_centre(F q) {
  const F z = q * q;
  F w = F(0x1.b92e71a52be29p+49);
  w = fma(w, z, F(-0x1.1846d4761952dp+50));
  w = fma(w, z, F(0x1.5146cc83e8a66p+49));
  w = fma(w, z, F(-0x1.fb3a30aec4b13p+47));
  w = fma(w, z, F(0x1.0a49c3c6fa963p+46));
  w = fma(w, z, F(-0x1.9d7ccab435801p+43));
  w = fma(w, z, F(0x1.eb50e17e6327dp+40));
  w = fma(w, z, F(-0x1.c7d53ac1fb8edp+37));
  w = fma(w, z, F(0x1.4ee42be630641p+34));
  w = fma(w, z, F(-0x1.8677b54de1605p+30));
  w = fma(w, z, F(0x1.70df06d759fedp+26));
  w = fma(w, z, F(-0x1.fe1101bd707b1p+21));
  w = fma(w, z, F(0x1.d0827230a8137p+17));
  w = fma(w, z, F(0x1.f4c31c4bd29c9p+13));
  w = fma(w, z, F(0x1.75b5768467811p+12));
  w = fma(w, z, F(0x1.a6057ba1e09acp+10));
  w = fma(w, z, F(0x1.f04bb4f5d6cb3p+8));
  w = fma(w, z, F(0x1.2ba8c1994ad53p+7));
  w = fma(w, z, F(0x1.78494b8c41f80p+5));
  w = fma(w, z, F(0x1.f55d0d76c22b0p+3));
  w = fma(w, z, F(0x1.71713082dbcdfp+2));
  w = fma(w, z, F(0x1.4ffddeaa22dbbp+1));
  w = fma(w, z, F(-0x1.f26ce009d8fa7p-3));
  return fma(q, F(2.75), q * w);
}

// g(r) = r + Phi^-1(e^(-r^2/2)): a rational on 2 <= r <= 6 and another on 6 <= r <= 39.
template <class F>
GENFAST_INLINE F normal_tail_gap_near(F r) {
  F num = F(0x1.f0eaa3ad8dcbep-26);
  num = fma(num, r, F(0x1.712b6a82e0834p-14));
  num = fma(num, r, F(0x1.7b3c43c4811e2p-7));
  num = fma(num, r, F(0x1.ae50b44e114bcp-2));
  num = fma(num, r, F(0x1.795dbb66e494dp+2));
  num = fma(num, r, F(0x1.310f2fb80deb9p+5));
  num = fma(num, r, F(0x1.09959aafec7e8p+7));
  num = fma(num, r, F(0x1.01809fec60e8dp+8));
  num = fma(num, r, F(0x1.b698633c78922p+7));
  num = fma(num, r, F(0x1.fb8ad70ae119fp+5));
  num = fma(num, r, F(0x1.efbe3108d77e4p+1));
  F den = F(0x1.a392331a232fcp-17);
  den = fma(den, r, F(0x1.1d9fe76efd1d0p-9));
  den = fma(den, r, F(0x1.9756257e42208p-4));
  den = fma(den, r, F(0x1.be53aa7260802p+0));
  den = fma(den, r, F(0x1.c2bb9681fe7adp+3));
  den = fma(den, r, F(0x1.e51cde38e264dp+5));
  den = fma(den, r, F(0x1.2eeceda5f5cf1p+7));
  den = fma(den, r, F(0x1.8e4ddcc231e8bp+7));
  den = fma(den, r, F(0x1.d00a0794c5e37p+6));
  den = fma(den, r, F(0x1.7af10b4c97d11p+4));
  den = fma(den, r, F(0x1.0000000000000p+0));
  return num / den;
}
template <class F>
GENFAST_INLINE F normal_tail_gap_far(F r) {
  F num = F(0x1.5526aa340ac35p-49);
  num = fma(num, r, F(0x1.91fb06209d6fap-35));
  num = fma(num, r, F(0x1.17e2277094042p-25));
  num = fma(num, r, F(0x1.abf1d0c977c7cp-18));
  num = fma(num, r, F(0x1.f63ccd9ab56fcp-12));
  num = fma(num, r, F(0x1.02073a1cf5baap-6));
  num = fma(num, r, F(0x1.ea23f1ff91f02p-3));
  num = fma(num, r, F(0x1.b68a930976f83p+0));
  num = fma(num, r, F(0x1.738118cdde9a0p+2));
  num = fma(num, r, F(0x1.15737a589fcedp+3));
  num = fma(num, r, F(0x1.89ae8a1b93818p+1));
  F den = F(0x1.72c2c5ca72748p-38);
  den = fma(den, r, F(0x1.429ea2554ed7fp-28));
  den = fma(den, r, F(0x1.24b7630a8ce13p-20));
  den = fma(den, r, F(0x1.93cb3710e2344p-14));
  den = fma(den, r, F(0x1.eb521968c5cddp-9));
  den = fma(den, r, F(0x1.19f6851f12829p-4));
  den = fma(den, r, F(0x1.3ac6932c12113p-1));
  den = fma(den, r, F(0x1.5bb8ffddb2180p+1));
  den = fma(den, r, F(0x1.773244054950fp+2));
  den = fma(den, r, F(0x1.467694f9f7933p+2));
  den = fma(den, r, F(0x1.0000000000000p+0));
  return num / den;
}

// -Phi^-1(p) for 0 <= p <= e^-2.
template <class F>
static F normal_quantile_tail(F p) {
  const F r = sqrt(F(-2) * log_f64(p));
  const F x = r - select(r > F(6), normal_tail_gap_far(r), normal_tail_gap_near(r));
  return select(p > F(0), x, select(p == F(0), F(__builtin_inf()), p));
}

// Phi^-1(u), u in [0, 1]. Phi^-1(1 - u) is its exact negative.
template <class F>
static F normal_quantile(F u) {
  const F q = u - F(0.5);
  const F p = select(q < F(0), u, F(1) - u);
  return select(p > F(kNormalTail), normal_quantile_centre(q), copysign(normal_quantile_tail(p), q));
}

// e^(a^2/2) Phi(-a): a rational on 1 <= a <= 5.5 and another on 5.5 <= a <= 40, all coefficients positive.
template <class F>
static F normal_mills(F a) {
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

// Phi(-a) for a >= 1, relative accuracy down to 2^-1022, below which it is 0. What a^2 rounds off is put back.
template <class F>
GENFAST_INLINE F normal_upper(F a) {
  a = select(a > F(40), F(40), a);
  const F square = a * a;
  const F v = exp_nonpositive_f64(F(-0.5) * square) * normal_mills(a);
  return fma(F(-0.5) * fma(a, a, -square), v, v);
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
static F normal_cdf(F z) {
  const F a = abs(z);
  const F tail = normal_upper(a);
  return select(a < F(1), F(0.5) + normal_cdf_centre(z), select(z < F(0), tail, F(1) - tail));
}

// p = loc, scale.
struct NormalFamily {
  template <class F>
  static F icdf(F u, const F* p) {
    return fma(p[1], normal_quantile(u), p[0]);
  }
  template <class F>
  static F iccdf(F q, const F* p) {
    return fma(-p[1], normal_quantile(q), p[0]);
  }
  template <class F>
  static F cdf(F x, const F* p) {
    return normal_cdf((x - p[0]) / p[1]);
  }
  template <class F>
  static F ccdf(F x, const F* p) {
    return normal_cdf((p[0] - x) / p[1]);
  }
  template <class F>
  static F log_prob(F x, const F* p) {
    const F z = (x - p[0]) / p[1];
    return fma(F(-0.5) * z, z, -(log_f64(p[1]) + F(kLogSqrt2Pi)));
  }
};

}  // namespace numerics
}  // namespace genfast
