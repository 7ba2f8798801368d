// Student's t over a double lane type F: tails, quantile and the family. Called by the elementwise kernels; raises nothing, loops
// over no data.
//
// With a = df / 2, w^2 = log(1 + t^2 / df), x = e^(-w^2), y = 1 - x: P(|T| > t) = I_x(a, 1/2) = E sqrt(y) (1 + x (a + 1/2) / (a +
// 1) (1 +
// ...)), E = Gamma(a + 1/2) e^(-a w^2) / (sqrt(pi) Gamma(a + 1)) (DLMF 8.17.20). The sum is cut where a + n >= 6; its rest is the
// expansion in erfc that partial integration of e^(-a w^2) w / sqrt(y) gives (as in Temme 1982), one fitted polynomial in (w^2,
// 1/a).
#pragma once
#include "numerics/inverse.h"
#include "numerics/special.h"
#include "numerics/student_coefficients.h"

namespace genfast {
namespace numerics {

// What depends on df alone.
template <class F>
struct StudentShape {
  F df, a;
  F steps, large;  // large = a + steps >= 6
  F mills;         // sqrt(pi large) omega(large)
  F factor;        // E at t = 0
};

template <class F>
GENFAST_CALL StudentShape<F> student_shape(F df) {
  StudentShape<F> s;
  s.df = df;
  s.a = F(0.5) * df;
  const F missing = -floor(s.a - F(6));
  s.steps = select(missing > F(0), missing, F(0));
  s.large = s.a + s.steps;
  s.mills = sqrt(F(0x1.921fb54442d18p+1) * s.large) * polynomial(kHalfRatioLarge, F(1) / s.large);
  const auto small = s.a < F(1);
  F ratio = polynomial(kHalfRatio, F(1) / select(small, F(1), s.a)) * sqrt(s.a);
  if (any(small)) ratio = select(small, polynomial(kHalfRatioSmall, select(small, s.a, F(1))), ratio);
  s.factor = F(0x1.20dd750429b6dp-1) / ratio;
  return s;
}

template <class F>
GENFAST_CALL F student_sum(F v, F s) {
  F r = polynomial(kStudent9, v);
  r = fma(r, s, polynomial(kStudent8, v));
  r = fma(r, s, polynomial(kStudent7, v));
  r = fma(r, s, polynomial(kStudent6, v));
  r = fma(r, s, polynomial(kStudent5, v));
  r = fma(r, s, polynomial(kStudent4, v));
  r = fma(r, s, polynomial(kStudent3, v));
  r = fma(r, s, polynomial(kStudent2, v));
  r = fma(r, s, polynomial(kStudent1, v));
  return fma(r, s, polynomial(kStudent0, v));
}

template <class F>
struct StudentPoint {
  F w2, x, y;
};

template <class F>
GENFAST_CALL StudentPoint<F> student_point(F df, F t) {
  const auto big = t > F(1e100);
  const F r = select(big, F(1), t) * (select(big, F(1), t) / df);
  StudentPoint<F> p;
  p.x = F(1) / (F(1) + r);
  p.y = r * p.x;
  p.w2 = log1p_f64(r);
  if (any(big)) {
    const F w2 = F(2) * log_f64(t) - log_f64(df);
    p.w2 = select(big, w2, p.w2);
    p.x = select(big, exp_f64(-w2), p.x);
    p.y = select(big, F(1), p.y);
  }
  return p;
}

// P(|T| <= t), P(|T| > t) and the density of |T|, for 0 <= t < infinity.
template <class F>
GENFAST_CALL Tails<F> student_tails(const StudentShape<F>& s, F t) {
  const StudentPoint<F> p = student_point(s.df, t);
  const F e = s.factor * exp_f64(-(s.a * p.w2));
  const F root = sqrt(p.y);
  const auto series = p.w2 > F(2.2);
  const F v = select(series, F(1), p.w2);
  const F w = sqrt(v);
  // 2 a G = mills erfcx + w sum, the rest of the series times sqrt(y) at `large`.
  const F rest = fma(s.mills, erfcx(w * sqrt(s.large)), w * student_sum(v, F(1) / s.large));
  const F n = select(series, F(18), s.steps);
  F num = select(series, root, rest), den = F(1);
  if (any(n > F(0))) {
    for (int k = any(n > F(6)) ? 18 : 6; k >= 1; --k) {
      const auto active = n >= F(k);
      const F ak = s.a + F(k);
      const F below = den * ak;
      const F above = fma(p.x * (ak - F(0.5)), num, below * root);
      num = select(active, above, num);
      den = select(active, below, den);
    }
  }
  const auto zero = t == F(0);
  Tails<F> r;
  r.upper = select(zero, F(1), select(e == F(0), F(0), e * (num / den)));
  r.lower = F(1) - r.upper;
  r.slope = sqrt(s.df * p.x) * e;
  return r;
}

// The distribution of |T| as invert_in_cells sees it.
template <class F>
struct StudentProblem {
  StudentShape<F> s;
  F scale, core;  // core: about the standard deviation of the centre, at most 1
  GENFAST_HD Tails<F> tails(F t) const {
    Tails<F> r = student_tails(s, t);
    r.slope = r.slope * unit(t);
    return r;
  }
  GENFAST_HD LocalShape<F> local(F t) const {
    const F u = unit(t);
    const F m = u / fma(t, t, s.df), c = (s.df + F(1)) * m;
    return {F(2) * t * m, u * m, c * t, c * u};
  }
  GENFAST_HD F unit(F t) const { return select(t > core, t, core); }
  GENFAST_HD F cell(F t) const {
    const F wide = power_of_two_below(t) / (s.df + F(1));
    return F(0x1p-12) * power_of_two_below(select((t >= core) & (wide > core), wide, core));
  }
  GENFAST_HD F advance(F t, F step) const {
    const F limited = select(step > F(5), F(5), select(step < F(-5), F(-5), step));
    const F next = fma(core, limited, t);
    return select(t > core, t * exp_f64(limited), select(next > F(0), next, F(0)));
  }
  GENFAST_HD F drift(const LocalShape<F>& shape, F t) const { return select(t > core, F(1), F(0)) - shape.beta; }
};

// t >= 0 with P(|T| > t) = two, 0 < two < 1. Starting values: w^2 from the normal quantile by a fitted correction in the bulk, else
// the leading terms at x = 0 and at y = 0.
template <class F>
GENFAST_CALL F student_inverse(F df, F two) {
  const StudentShape<F> s = student_shape(df);
  const F log_two = log_f64(two);
  const F z = rough_normal_quantile(F(0x1.62e42fefa39efp-1) - log_two);
  const F recip = F(1) / df;
  const F v = z * z * recip;
  const auto bulk = (df >= F(1)) & (v <= F(3));
  const F vs = select(bulk, v, F(1)), rs = select(bulk, recip, F(0.5));
  F b = polynomial(kStudentStart5, vs);
  b = fma(b, rs, polynomial(kStudentStart4, vs));
  b = fma(b, rs, polynomial(kStudentStart3, vs));
  b = fma(b, rs, polynomial(kStudentStart2, vs));
  b = fma(b, rs, polynomial(kStudentStart1, vs));
  b = fma(b, rs, polynomial(kStudentStart0, vs));
  F t = sqrt(df * expm1_bounded<ExpLogF64>(vs * exp_f64(b * rs)));
  F result = F(-1);
  const auto outside = select(bulk, F(0), F(1)) > F(0);
  if (any(outside)) {
    const F leading = (log_two - log_f64(s.factor)) / s.a;  // log x
    const F x0 = exp_f64(select(leading < F(0), leading, F(0)));
    const F x = x0 * (F(1) - x0 * F(0.5) * s.a / (s.a + F(1)));
    const F root = (F(1) - two) / (s.df * s.factor);
    const F y = select(root < F(0.9), root * root, F(0.8));
    const F from_y = sqrt(df * (y / (F(1) - y)));
    t = select(outside, select(x0 < F(0.6), sqrt(df * ((F(1) - x) / x)), from_y), t);
    const auto tiny = outside & (leading < F(-100));
    result = select(tiny, sqrt(df) * exp_f64(F(-0.5) * leading), result);
    t = select(tiny, F(1), t);
  }
  const F root = sqrt(df);
  const StudentProblem<F> problem = {s, F(1), select(root < F(1), root, F(1))};
  return invert_in_cells(problem, two, two < F(0), t, result);
}

// p = df, loc, scale.
struct StudentTFamily {
  // The t with F(t) = u in magnitude, and the sign of u - 1/2.
  template <class F>
  static GENFAST_HD F quantile(F u, const F* p) {
    const auto low = u <= F(0.5);
    const F two = tail_probability(F(2) * select(low, u, F(1) - u));
    const auto inside = (two > F(0)) & (two < F(1));
    const F t = student_inverse(p[0], select(inside, two, F(0.5)));
    const F size = select(inside, t, select(two > F(0), F(0), F(ExpLogF64::infinity)));
    return select(low, -size, size);
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return fma(quantile(u, p), p[2], p[1]);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return fma(-quantile(q, p), p[2], p[1]);
  }
  // P(T <= t), t = (x - loc) / scale or its negative.
  template <class F>
  static GENFAST_HD F below(F t, F df) {
    const F size = abs(t);
    const auto finite = size < F(ExpLogF64::infinity);
    const F half = F(0.5) * select(finite, student_tails(student_shape(df), select(finite, size, F(1))).upper, F(0));
    return select(t <= F(0), half, select(t > F(0), F(1) - half, t));
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return below((x - p[1]) / p[2], p[0]);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return below((p[1] - x) / p[2], p[0]);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F size = abs((x - p[1]) / p[2]);
    const auto finite = size < F(ExpLogF64::infinity);
    const StudentShape<F> s = student_shape(p[0]);
    const F w2 = student_point(p[0], select(finite, size, F(1))).w2;
    const F value = log_f64(F(0.5) * sqrt(p[0]) * s.factor / p[2]) - (s.a + F(0.5)) * w2;
    return select(finite, value, select(size == size, F(-ExpLogF64::infinity), size));
  }
};

}  // namespace numerics
}  // namespace genfast
