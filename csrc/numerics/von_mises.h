// The von Mises distribution over a double lane type F: tails, quantile and the family. Called by the elementwise kernels; raises
// nothing, loops over no data.
//
// With t = |x - loc|, f(t) = exp(-2 kappa sin^2(t/2)) and H its integral over [0, pi] (pi e^-kappa I0(kappa)), P(|X - loc| > t) is
// f(t) / H times the integral over 0 <= h <= (pi - t) / 2 of 2 exp(-2 kappa sin h (sin t cos h + cos t sin h)). That integrand is
// positive, entire and at most 2, so one Gauss-Legendre rule, cut where the exponent has fallen by 42, gives the tail to full
// relative accuracy for every kappa and t; likewise P(|X - loc| < t), with f(0) and from the centre, where it is small. Nodes,
// weights and coefficients are our own computations in 50 digits (Chebyshev interpolation).
#pragma once
#include "numerics/inverse.h"
#include "numerics/special.h"

namespace genfast {
namespace numerics {

constexpr double kPi = 0x1.921fb54442d18p+1, kPiLow = 0x1.1a62633145c07p-53;

// Gauss-Legendre for y in [0, 1] with (y + y^3) / 2 for the node, which is denser near 0, where the integrands are large: the
// nodes, and twice the weights.
constexpr int kVonMisesNodes = 24;
GENFAST_CONSTANT double kVonMisesNode[kVonMisesNodes] = {
    0x1.3b698469f63a1p-10, 0x1.9e1d0ad24eb92p-8, 0x1.fa22f2549032bp-7, 0x1.d2be194b55303p-6, 0x1.739f2f7515338p-5,
    0x1.0e9b18485a4f1p-4,  0x1.7382285b0e181p-4, 0x1.e98925f4f0af9p-4, 0x1.3921dd8d47170p-3, 0x1.87d504ebe0e59p-3,
    0x1.e1e3dcbc23913p-3,  0x1.2412d242acdb4p-2, 0x1.5d808c4d046d6p-2, 0x1.9d14c320a1ea5p-2, 0x1.e2325922ade05p-2,
    0x1.15d8ccd17618dp-1,  0x1.3becd190aecccp-1, 0x1.6234d15ef9ba1p-1, 0x1.8759488dbd19ep-1, 0x1.a9e0040b9715ap-1,
    0x1.c84661f1625c7p-1,  0x1.e11eddbca4671p-1, 0x1.f32ee13a4e114p-1, 0x1.fd8a511f7c83bp-1};
GENFAST_CONSTANT double kVonMisesWeight[kVonMisesNodes] = {
    0x1.946789992c5fbp-8, 0x1.d3aea31edb93fp-7, 0x1.6bc1dbe95322ap-6, 0x1.ea7971d2c76edp-6, 0x1.33ba375f9e629p-5,
    0x1.72eaab48b47c8p-5, 0x1.b4fbadaf564e3p-5, 0x1.fc4c3541f3b3fp-5, 0x1.256efff4f117ap-4, 0x1.50dc9934da2cfp-4,
    0x1.802e1fb8630e2p-4, 0x1.b2292abade241p-4, 0x1.e4834bbd4e6d8p-4, 0x1.09f8aeb5b1153p-3, 0x1.1e2f55165257dp-3,
    0x1.2ca427751c2c1p-3, 0x1.3319dd2f5c4b5p-3, 0x1.2f9959606eb20p-3, 0x1.20b248bd095c1p-3, 0x1.05b1ecd285de8p-3,
    0x1.bd911ad202a8fp-4, 0x1.5a3025871027ap-4, 0x1.caa77c2bc4edep-5, 0x1.92f080f1e3937p-6};

// I0(kappa) in kappa^2 / 4 for kappa <= 8 (DLMF 10.25.2), and pi sqrt(kappa) e^-kappa I0(kappa) in 16 / kappa - 1 above.
GENFAST_CONSTANT double kBesselSeries[] = {
    0x1.0000000000000p+0,   0x1.0000000000000p+0,   0x1.0000000000000p-2,  0x1.c71c71c71c71cp-6,   0x1.c71c71c71c71cp-10,
    0x1.23456789abcdfp-14,  0x1.02e85c0898b71p-19,  0x1.522a43f65486ap-25, 0x1.522a43f65486ap-31,  0x1.0b313289be0b9p-37,
    0x1.5601885e63e5dp-44,  0x1.69ca9cf3b7f54p-51,  0x1.4197a7f5154bcp-58, 0x1.e725594ee52e9p-66,  0x1.3e22d70ef3b5fp-73,
    0x1.69f7da8510bcdp-81,  0x1.69f7da8510bcdp-89,  0x1.40a2dc2460523p-97, 0x1.faaf2fa1c79e5p-106, 0x1.674f8e46c208cp-114,
    0x1.cbeaf38dc529fp-123, 0x1.0afb53e9cec0bp-131, 0x1.1a6d4e307528fp-140};
GENFAST_CONSTANT double kBesselLarge[] = {
    0x1.43731515d0865p+0,   0x1.59f29b4fd357bp-7,   0x1.c0b90a0b301efp-12,  0x1.25a8b0013fb66p-15,  0x1.38d671dcb170dp-18,
    0x1.f58940fb6d656p-21,  0x1.2b4865efd4364p-22,  0x1.094d7a850bdb4p-23,  0x1.22c29197cea1fp-24,  0x1.985f5034f1cd0p-26,
    -0x1.6c5781e71e008p-26, -0x1.6b67037d2300ep-25, -0x1.232682bd97609p-26, 0x1.a19728d1d6cf1p-26,  0x1.8fbafdcac1e9ep-26,
    -0x1.a58c21e89cdaep-27, -0x1.3f4688efe2904p-26, 0x1.c68312db4dc39p-28,  0x1.84710549d9ffap-27,  -0x1.ee5527b98152bp-29,
    -0x1.57eb0f76fad27p-28, 0x1.ba54b53c95940p-30,  0x1.82c769b05a413p-30,  -0x1.04354b3bfd24fp-31, -0x1.97f1de924fa4cp-33,
    0x1.1fadc581a24efp-34};

// sin(h) / h and cos(h) in h^2, 0 <= h <= pi / 2.
GENFAST_CONSTANT double kSinHalfPi[] = {0x1.0000000000000p+0,   -0x1.5555555555555p-3,  0x1.11111111110bcp-7,
                                        -0x1.a01a01a01476dp-13, 0x1.71de3a52896f6p-19,  -0x1.ae6454cebf09dp-26,
                                        0x1.6123cc6869641p-33,  -0x1.ae4380be54b9ap-41, 0x1.883520b6222ebp-49};
GENFAST_CONSTANT double kCosHalfPi[] = {0x1.0000000000000p+0,   -0x1.ffffffffffffbp-2,  0x1.55555555553c1p-5,
                                        -0x1.6c16c16c09a0ep-10, 0x1.a01a019943869p-16,  -0x1.27e4f9772ae64p-22,
                                        0x1.1eecdeb384f51p-29,  -0x1.9350806f47299p-37, 0x1.9f1fe8c9deaedp-45};

// The sine and cosine of t / 2, 0 <= t <= pi, each accurate relative to itself.
template <class F>
struct HalfAngle {
  F sine, cosine, rest;  // rest = (pi - t) / 2
};
template <class F>
static GENFAST_HD HalfAngle<F> half_angle(F t) {
  const F gap = (F(kPi) - t) + F(kPiLow);
  const F rest = F(0.5) * select(t < F(kPi), gap, F(0));
  const auto near = t <= F(0.5 * kPi);
  const F a = select(near, F(0.5) * t, rest);
  const F z = a * a;
  const F sine = a * polynomial(kSinHalfPi, z), cosine = polynomial(kCosHalfPi, z);
  return {select(near, sine, cosine), select(near, cosine, sine), rest};
}

// What depends on kappa alone.
template <class F>
struct VonMisesShape {
  F kappa, half;  // half = H
};
template <class F>
GENFAST_CALL VonMisesShape<F> von_mises_shape(F kappa) {
  const auto small = kappa <= F(8);
  const F k = select(small, kappa, F(0)), large = select(small, F(8), kappa);
  const F series = F(kPi) * exp_nonpositive_f64(-k) * polynomial(kBesselSeries, F(0.25) * k * k);
  const F fit = polynomial(kBesselLarge, F(16) / large - F(1)) / sqrt(large);
  return {kappa, select(small, series, fit)};
}

// P(|X| <= t), P(|X| > t) and the density of |X| (loc = 0), for 0 <= t. With shift > 0 the last two are 2^shift times that, where
// P(|X| > t) is tiny; then the first says nothing.
template <class F>
GENFAST_CALL Tails<F> von_mises_tails(const VonMisesShape<F>& s, F t, F shift) {
  const HalfAngle<F> half = half_angle(t);
  const F rate = F(-2) * s.kappa;
  const F fall = (s.kappa * half.sine) * half.sine;
  const auto centre = (fall <= F(0.25)) & (t <= F(0.5 * kPi));
  const F a = select(centre, F(0), F(2) * half.sine * half.cosine);
  const F b = select(centre, F(1), (half.cosine - half.sine) * (half.cosine + half.sine));
  // tan h of the h > 0 with 2 kappa sin h (a cos h + b sin h) = 42, if there is one, and h itself to 1 % (from above).
  const F linear = s.kappa * a;
  const F square = fma(linear, linear, F(42) * fma(F(2) * s.kappa, b, F(-42)));
  const F tangent = F(42) / (linear + sqrt(select(square > F(0), square, F(0))));
  const auto flat = tangent < F(1);
  const F arc = tangent / fma(tangent, tangent * select(flat, F(0.28), F(1)), select(flat, F(1), F(0.28)));
  const F cut = F(1.01) * select(flat, arc, F(0.5 * kPi) - arc);
  const F whole = select(centre, F(0.5) * t, half.rest);
  const F length = select((square > F(0)) & (cut < whole), cut, whole);
  F sum = F(0);
  for (int i = 0; i < kVonMisesNodes; ++i) {
    const F h = length * F(kVonMisesNode[i]);
    const F z = h * h;
    const F sine = h * polynomial(kSinHalfPi, z), cosine = polynomial(kCosHalfPi, z);
    const F exponent = (rate * sine) * fma(a, cosine, b * sine);
    sum = fma(F(kVonMisesWeight[i]), exp_nonpositive_f64(exponent), sum);
  }
  const F part = length * sum / s.half;
  const F f = exp_f64(fma(F(ExpLogF64::ln2), shift, F(-2) * fall));
  Tails<F> r;
  const F tail = select(f == F(0), F(0), f * part);
  r.upper = select(centre, F(1) - part, tail);
  r.lower = select(centre, part, F(1) - tail);
  r.slope = f / s.half;
  return r;
}

// The distribution of |X| as invert_in_cells sees it, in units of about its standard deviation.
template <class F>
struct VonMisesProblem {
  VonMisesShape<F> s;
  F scale, width, shift;
  GENFAST_HD Tails<F> tails(F t) const {
    Tails<F> r = von_mises_tails(s, t, shift);
    r.slope = r.slope * width;
    return r;
  }
  GENFAST_HD LocalShape<F> local(F t) const {
    const HalfAngle<F> half = half_angle(t);
    const F rate = s.kappa * width;
    const F sine = F(2) * half.sine * half.cosine, cosine = (half.cosine - half.sine) * (half.cosine + half.sine);
    return {F(0), F(0.5) * width * width, rate * sine, rate * width * cosine};
  }
  GENFAST_HD F unit(F) const { return width; }
  GENFAST_HD F cell(F) const { return F(0x1p-12) * width; }
  GENFAST_HD F advance(F t, F step) const {
    const F limited = select(step > F(5), F(5), select(step < F(-5), F(-5), step));
    const F next = fma(width, limited, t);
    return select(next > F(0), select(next < F(kPi), next, F(0x1.921fb54442d17p+1)), F(0));
  }
  GENFAST_HD F drift(const LocalShape<F>& shape, F) const { return -shape.beta; }
};

// t >= 0 with P(|X| > t) = two, 0 < two < 1. Starting values: from the flat density near t = pi, or sin(t/2) as a normal variable
// (Hill 1976, "New approximations to the von Mises distribution", its leading term).
template <class F>
GENFAST_CALL F von_mises_inverse(F kappa, F two) {
  const VonMisesShape<F> s = von_mises_shape(kappa);
  const F growth = F(2) * kappa;
  const F flat = two * s.half * exp_f64(select(growth < F(700), growth, F(700)));  // pi - t if the density were flat
  const F excess = kappa * flat * flat;
  const F from_end = F(kPi) - flat * fma(excess, F(-1.0 / 6), F(1));
  const F z = rough_normal_quantile(F(ExpLogF64::ln2) - log_f64(two));
  const F ratio = z * s.half * F(0x1.9884533d43651p-2);
  const F v = select(ratio < F(0.99), ratio, F(0.99));
  const F v2 = v * v;
  F near = fma(v2, F(15.0 / 336), F(3.0 / 40));
  near = fma(near, v2, F(1.0 / 6)) * v2;
  const F far = sqrt(F(1) - v) * fma(v, fma(v, fma(v, F(-0.0187), F(0.0743)), F(-0.2121)), F(0.5 * kPi));
  const F from_normal = F(2) * select(v < F(0.5), fma(near, v, v), F(0.5 * kPi) - far);
  const F start = select((excess < F(1)) & (growth < F(700)), from_end, from_normal);
  const F deviation = F(1) / sqrt(select(kappa > F(1), kappa, F(1)));
  const auto lower = two > F(0.5);
  const F shift = select(two < F(0x1p-900), F(200), F(0));
  const F goal = select(lower, F(1) - two, two * select(two < F(0x1p-900), F(0x1p200), F(1)));
  const VonMisesProblem<F> problem = {s, F(1), power_of_two_below(deviation), shift};
  const F t = invert_in_cells(problem, goal, lower, select(start > F(0), start, F(0)), F(-1));
  return select(t < F(kPi), t, F(kPi));
}

// p = loc, concentration.
struct VonMisesFamily {
  // The t = |x - loc| with F(x) = u, and on which side.
  template <class F>
  static GENFAST_HD F quantile(F u, const F* p) {
    const auto low = u <= F(0.5);
    const F two = F(2) * select(low, u, F(1) - u);
    const auto inside = (two > F(0)) & (two < F(1));
    const F t = von_mises_inverse(p[1], select(inside, two, F(0.5)));
    const F size = select(inside, t, select(two > F(0), F(0), F(kPi)));
    return select(low, -size, size);
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return p[0] + quantile(u, p);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return p[0] - quantile(q, p);
  }
  // P(X <= x) where x <= loc, P(X > x) where x >= loc: at most 1/2; t = |x - loc| < pi.
  template <class F>
  static GENFAST_HD F tail(F t, F kappa) {
    return F(0.5) * von_mises_tails(von_mises_shape(kappa), t, F(0)).upper;
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    const F low = p[0] - F(kPi), high = p[0] + F(kPi);
    const auto inside = (x > low) & (x < high);
    const F half = tail(select(inside, abs(x - p[0]), F(0)), p[1]);
    return select(inside, select(x <= p[0], half, F(1) - half), select(x >= high, F(1), select(x <= low, F(0), x)));
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    const F low = p[0] - F(kPi), high = p[0] + F(kPi);
    const auto inside = (x > low) & (x < high);
    const F half = tail(select(inside, abs(x - p[0]), F(0)), p[1]);
    return select(inside, select(x >= p[0], half, F(1) - half), select(x >= high, F(0), select(x <= low, F(1), x)));
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const auto inside = (x >= p[0] - F(kPi)) & (x <= p[0] + F(kPi));
    const F sine = half_angle(select(inside, abs(x - p[0]), F(0))).sine;
    const F value = F(-2) * ((p[1] * sine) * sine) - log_f64(F(2) * von_mises_shape(p[1]).half);
    return select(inside, value, select(x == x, F(-ExpLogF64::infinity), x));
  }
};

}  // namespace numerics
}  // namespace genfast
