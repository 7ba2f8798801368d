// Discrete families over a double lane type F: the search for the smallest k with F(k) >= u, and Poisson, Binomial,
// NegativeBinomial, Hypergeometric, Geometric, Bernoulli and DiscreteUniform. Called by the elementwise kernels; each struct has
// the five functions of FamilyFn with parameters in the order of the Python constructor. Parameters are valid, probabilities are in
// [0, 1]; x is anything, and NaN gives NaN.
//
// F(k) is one incomplete gamma or beta function. One evaluation also gives the mass p(k) and so F(k - 1) and F(k + 1); whether one
// of those reaches u is taken from it only where rounding cannot matter, else F is evaluated there. So the result depends on u
// only through comparisons with F as computed at each k, and is monotone.
#pragma once
#include "numerics/beta.h"

namespace genfast {
namespace numerics {

template <class F>
struct MassTails {
  F lower, upper;  // F(k), 1 - F(k)
  F mass;          // p(k)
  F growth;        // p(k + 1) / p(k)
};

template <class F>
GENFAST_INLINE F ceiling(F x) {
  return -floor(-x);
}

// Smallest integer k in [least, most] with F(k) >= t where lower, else with 1 - F(k) <= t; 0 < t <= 1/2. `most` may be infinite.
template <class Problem, class F, class M>
GENFAST_CALL F smallest_reaching(const Problem& problem, F t, M lower, F start, F least, F most) {
  F bad = least - F(1), good = most;  // F(bad) is too small, F(good) is not
  F k = select(start < least, least, select(start > most, most, start));
  F done = select(good <= least, F(1), F(0));
  for (int round = 0; round < 200; ++round) {
    const auto open = done == F(0);
    const MassTails<F> at = problem.tails(select(k < most, k, least));
    const auto last = k >= most;
    // Excess > = 0: k reaches t.
    const F value = select(lower, at.lower, at.upper);
    const F excess = select(lower, value - t, t - value);
    const auto reached = (excess >= F(0)) | last;
    const F slack = F(1e-12) * (value + at.mass);
    good = select(open & reached & (k < good), k, good);
    bad = select(open & (excess < F(0)) & (k < most) & (k > bad), k, bad);
    // The neighbours, where their sums are far enough from t.
    const F down = excess - at.mass;  // excess at k - 1
    const F up = excess + at.mass * at.growth;
    bad = select(open & reached & (k < most) & (down < -slack) & (k - F(1) > bad), k - F(1), bad);
    good = select(open & (excess < F(0)) & (k < most) & (up > slack) & (k + F(1) < good), k + F(1), good);
    done = select(good - bad <= F(1), F(1), done);
    if (!any(done == F(0))) break;
    // Halley's step for the logarithm of the smaller tail.
    const auto small_lower = at.lower < at.upper;
    const F tail = select(small_lower, at.lower, at.upper);
    const F sign = select(small_lower, F(1), F(-1));
    const F goal = select(sign * select(lower, F(1), F(-1)) > F(0), t, F(1) - t);
    const F hazard = at.mass / tail;
    const F s = sign * log_f64(goal / tail) / hazard;
    const F bend = fma(F(0.5) * s, log_f64(at.growth) - sign * hazard, F(1));
    F step = s / select(bend > F(0.3), bend, F(0.3));
    const F widest = F(2) * (k - least) + F(8);
    const auto usable = (at.mass > F(0)) & (tail > F(0)) & (at.growth > F(0)) & (step == step);
    step = select(usable, step, select(excess < F(0), widest, -widest));
    F next = ceiling(k + select(step > widest, widest, select(step < -widest, -widest, step)));
    next = select(last, k - F(1), next);
    // Bisection when the steps do not close in.
    const F middle = floor(F(0.5) * (bad + good));
    if (round >= 8 && round % 2 == 0) next = select(good < F(ExpLogF64::infinity), middle, next);
    next = select(next > bad, next, bad + F(1));
    next = select(next < good, next, good - F(1));
    k = select(done == F(0), next, k);
  }
  return select(done == F(0), k, good);
}

// F^-1(u), or F^-1(1 - u) where not lower, of a problem with a rough normal quantile: mean + deviation z + skew (z^2 - 1).
template <class Problem, class F>
static GENFAST_HD F discrete_quantile(const Problem& problem, F u, bool lower, F mean, F deviation, F skew, F least, F most) {
  const auto half = u <= F(0.5);
  const F t = select(half, u, F(1) - u);
  const auto end = t == F(0);
  const auto from_least = select(half, F(lower), F(!lower)) > F(0);
  const F safe = select(end, F(0.25), t);
  const F size = rough_normal_quantile(-log_f64(safe));
  const F z = select(from_least, -size, size);
  const F start = ceiling(mean + fma(deviation, z, skew * fma(z, z, F(-1))) - F(0.5));
  const F k = smallest_reaching(problem, safe, from_least, start, least, most);
  // A start that was rounded up to -0 becomes +0.
  return select(end, select(from_least, least, most), k) + F(0);
}

// A probability function of the problem at floor(x): 1 from `most` on, 0 below `least`.
template <class Problem, class F>
static GENFAST_HD F discrete_probability(const Problem& problem, F x, bool lower, F least, F most) {
  const F k = floor(x);
  const auto inside = (k >= least) & (k < most);
  const MassTails<F> tails = problem.tails(select(inside, k, least));
  return select(inside, lower ? tails.lower : tails.upper, select(x < least, F(!lower), select(x >= most, F(lower), x)));
}

// value where x is an integer in [least, most], -infinity elsewhere, NaN for NaN.
template <class F>
GENFAST_INLINE F on_integers(F x, F least, F most, F value) {
  const auto inside = (x >= least) & (x <= most) & (floor(x) == x) & (x < F(ExpLogF64::infinity));
  return select(inside, value, select(x == x, F(-ExpLogF64::infinity), x));
}

// log(m! / (m/e)^m), m >= 0.
template <class F>
GENFAST_CALL F log_factorial_excess(F m) {
  const auto zero = m < F(0.5);
  const F v = select(zero, F(1), m);
  return select(zero, F(0), F(0.5) * log_f64(F(0x1.921fb54442d18p+2) * v) - log_f64(recip_gamma_star(v)));
}

// m log(m / x) + x - m for m >= 0 and x > 0, x at 0.
template <class F>
GENFAST_INLINE F count_deviance(F m, F x) {
  const auto zero = m <= F(0);
  return select(zero, x, deviance(select(zero, F(1), m), x));
}

// p = rate. F(k) = Q(k + 1, rate).
struct PoissonFamily {
  template <class F>
  struct Problem {
    F rate;
    GENFAST_HD MassTails<F> tails(F k) const {
      const Tails<F> g = gamma_tails(gamma_shape(k + F(1)), rate);
      return {g.upper, g.lower, g.slope / rate, rate / (k + F(1))};
    }
  };
  // A rate of 0 is the point mass at 0.
  template <class F>
  static GENFAST_HD F quantile(F u, const F* p, bool lower) {
    const auto none = p[0] == F(0);
    const F rate = select(none, F(1), p[0]);
    const F k = discrete_quantile(Problem<F>{rate}, u, lower, rate, sqrt(rate), F(1.0 / 6), F(0), F(ExpLogF64::infinity));
    return select(none, F(0), k);
  }
  template <class F>
  static GENFAST_HD F probability(F x, const F* p, bool lower) {
    const auto none = p[0] == F(0);
    const F value = discrete_probability(Problem<F>{select(none, F(1), p[0])}, x, lower, F(0), F(ExpLogF64::infinity));
    return select(none, select(x >= F(0), F(lower), select(x == x, F(!lower), x)), value);
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return quantile(u, p, true);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return quantile(q, p, false);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return probability(x, p, true);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return probability(x, p, false);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F infinity = F(ExpLogF64::infinity);
    const auto none = p[0] == F(0);
    const auto inside = (x >= F(0)) & (x < infinity);
    const F k = select(inside, x, F(1));
    const F value = -count_deviance(k, select(none, F(1), p[0])) - log_factorial_excess(k);
    return on_integers(x, F(0), infinity, select(none, select(x == F(0), F(0), -infinity), value));
  }
};

// p = n, p. F(k) = I_{1-p}(n - k, k + 1), 0 <= k < n.
struct BinomialFamily {
  template <class F>
  struct Problem {
    F n, p;
    GENFAST_HD MassTails<F> tails(F k) const {
      const F q = F(1) - p;
      const BetaShape<F> s = beta_shape(n - k, k + F(1));
      const Tails<F> b = beta_tails(s, q, p, beta_offset(s, q, p));
      return {b.lower, b.upper, b.slope / ((n - k) * p), (n - k) * p / ((k + F(1)) * q)};
    }
  };
  // n = 0 and p = 0 are the point mass at 0, p = 1 that at n; they never reach the formulas.
  template <class F>
  static GENFAST_HD F quantile(F u, const F* p, bool lower) {
    const auto proper = (p[0] > F(0)) & (p[1] > F(0)) & (p[1] < F(1));
    const F n = select(proper, p[0], F(1)), s = select(proper, p[1], F(0.5));
    const F q = F(1) - s;
    const F k = discrete_quantile(Problem<F>{n, s}, u, lower, n * s, sqrt(n * s * q), (q - s) * F(1.0 / 6), F(0), n);
    return select(proper, k, select(p[1] == F(1), p[0], F(0)));
  }
  template <class F>
  static GENFAST_HD F probability(F x, const F* p, bool lower) {
    const auto proper = (p[0] > F(0)) & (p[1] > F(0)) & (p[1] < F(1));
    const F n = select(proper, p[0], F(1)), s = select(proper, p[1], F(0.5));
    const F value = discrete_probability(Problem<F>{n, s}, x, lower, F(0), n);
    const F point = select(p[1] == F(1), p[0], F(0));
    return select(proper, value, select(x >= point, F(lower), select(x == x, F(!lower), x)));
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return quantile(u, p, true);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return quantile(q, p, false);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return probability(x, p, true);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return probability(x, p, false);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const auto proper = (p[0] > F(0)) & (p[1] > F(0)) & (p[1] < F(1));
    const F n = select(proper, p[0], F(1)), s = select(proper, p[1], F(0.5)), q = F(1) - s;
    const auto inside = (x >= F(0)) & (x <= n);
    const F k = select(inside, x, F(0)), rest = n - k;
    // k - n p = n q - rest, from the exact one of p and q.
    const auto low = s <= F(0.5);
    const F c = select(low, s, q), from = select(low, k, rest);
    const F product = n * c;
    const F gap = (from - product) - fma(n, c, -product);  // from - n c
    const F gap_k = select(low, gap, -gap);
    const auto no_k = k == F(0), no_rest = rest == F(0);
    const F safe_k = select(no_k, F(1), k), safe_rest = select(no_rest, F(1), rest);
    const F dev_k = select(no_k, n * s, safe_k * log_defect(-gap_k / safe_k, n * s / safe_k));
    const F dev_rest = select(no_rest, n * q, safe_rest * log_defect(gap_k / safe_rest, n * q / safe_rest));
    const F value = log_factorial_excess(n) - log_factorial_excess(k) - log_factorial_excess(rest) - (dev_k + dev_rest);
    // At the ends the power itself is better: n log(1 - p) and n log(p).
    const F all_fail = n * select(low, log1p_f64(-s), log_f64(q)), all_win = n * select(low, log_f64(s), log1p_f64(-q));
    const F found = select(no_k, all_fail, select(no_rest, all_win, value));
    const F point = select(p[1] == F(1), p[0], F(0));
    return on_integers(x, F(0), p[0], select(proper, found, select(x == point, F(0), F(-ExpLogF64::infinity))));
  }
};

// p = n, p: failures before the n-th success. F(k) = I_p(n, k + 1).
struct NegativeBinomialFamily {
  template <class F>
  struct Problem {
    F n, p;
    GENFAST_HD MassTails<F> tails(F k) const {
      const F q = F(1) - p;
      const BetaShape<F> s = beta_shape(n, k + F(1));
      const Tails<F> b = beta_tails(s, p, q, beta_offset(s, p, q));
      return {b.lower, b.upper, b.slope / (q * (n + k)), (n + k) / (k + F(1)) * q};
    }
  };
  // p = 1 is the point mass at 0.
  template <class F>
  static GENFAST_HD F quantile(F u, const F* p, bool lower) {
    const auto proper = p[1] < F(1);
    const F s = select(proper, p[1], F(0.5)), q = F(1) - s;
    const F root = sqrt(p[0] * q);
    const F k = discrete_quantile(Problem<F>{p[0], s}, u, lower, p[0] * q / s, root / s, (F(2) - s) / (F(6) * s), F(0),
                                  F(ExpLogF64::infinity));
    return select(proper, k, F(0));
  }
  template <class F>
  static GENFAST_HD F probability(F x, const F* p, bool lower) {
    const auto proper = p[1] < F(1);
    const F value = discrete_probability(Problem<F>{p[0], select(proper, p[1], F(0.5))}, x, lower, F(0), F(ExpLogF64::infinity));
    return select(proper, value, select(x >= F(0), F(lower), select(x == x, F(!lower), x)));
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return quantile(u, p, true);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return quantile(q, p, false);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return probability(x, p, true);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return probability(x, p, false);
  }
  // p(k) = D / (q (n + k)) with the D of I_p(n, k + 1).
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F infinity = F(ExpLogF64::infinity);
    const auto proper = p[1] < F(1);
    const F s = select(proper, p[1], F(0.5)), q = F(1) - s;
    const F k = select((x >= F(0)) & (x < infinity), x, F(0));
    const BetaShape<F> b = beta_shape(p[0], k + F(1));
    const F offset = beta_offset(b, s, q);
    const F dev = fma(b.a, log_defect(-offset / b.a, s * (b.n / b.a)), b.b * log_defect(offset / b.b, q * (b.n / b.b)));
    const F value = log_f64(b.factor) - dev - log_f64(q * (p[0] + k));
    const F log_p = select(s > F(0.5), log1p_f64(-q), log_f64(s));
    const F found = select(k == F(0), p[0] * log_p, value);
    return on_integers(x, F(0), infinity, select(proper, found, select(x == F(0), F(0), -infinity)));
  }
};

// p = good, bad, draws (ngood, nbad, nsample of NumPy). The tail on the side of k away from the mean is summed from the mass.
struct HypergeometricFamily {
  // log of the mass: of the 2 x 2 table of counts with its margins, by Loader's deviance in every cell.
  template <class F>
  static GENFAST_HD F log_mass(F k, F good, F bad, F draws) {
    const F n = good + bad, rest = n - draws;
    const F cells = (log_factorial_excess(good) + log_factorial_excess(bad)) +
                    (log_factorial_excess(draws) + log_factorial_excess(rest)) - log_factorial_excess(n);
    const F a = k, b = good - k, c = draws - k, d = bad - draws + k;
    const F inside = (log_factorial_excess(a) + log_factorial_excess(b)) + (log_factorial_excess(c) + log_factorial_excess(d));
    const F share = draws / n, other = rest / n;
    const F dev = (count_deviance(a, good * share) + count_deviance(b, good * other)) +
                  (count_deviance(c, bad * share) + count_deviance(d, bad * other));
    return cells - inside - dev;
  }
  template <class F>
  struct Problem {
    F good, bad, draws;
    GENFAST_HD MassTails<F> tails(F k) const {
      const F n = good + bad;
      MassTails<F> r;
      r.mass = exp_f64(log_mass(k, good, bad, draws));
      r.growth = (good - k) * (draws - k) / ((k + F(1)) * (bad - draws + k + F(1)));
      // Down from k where k is below the mean, else up from k + 1: terms fall, and no digits are lost.
      const auto down = k * n < good * draws;
      F term = select(down, F(1), r.growth), sum = F(0), i = k;
      while (true) {
        sum = sum + term;
        const auto alive = term > F(0x1p-56) * sum;
        if (!any(alive)) break;
        const F fall = i * (bad - draws + i) / ((good - i + F(1)) * (draws - i + F(1)));
        i = i + F(1);
        const F rise = (good - i) * (draws - i) / ((i + F(1)) * (bad - draws + i + F(1)));
        term = select(alive, term * select(down, fall, rise), F(0));
        i = select(down, i - F(2), i);
      }
      const F tail = r.mass * sum;
      const F rest = F(1) - tail;
      r.lower = select(down, tail, select(rest > F(0), rest, F(0)));
      r.upper = select(down, rest, tail);
      return r;
    }
  };
  template <class F>
  struct Range {
    F least, most;
  };
  template <class F>
  static GENFAST_HD Range<F> range(const F* p) {
    const F least = p[2] - p[1];
    return {select(least > F(0), least, F(0)), select(p[0] < p[2], p[0], p[2])};
  }
  template <class F>
  static GENFAST_HD F quantile(F u, const F* p, bool lower) {
    const Range<F> r = range(p);
    const auto proper = r.most > r.least;
    const F good = select(proper, p[0], F(1)), bad = select(proper, p[1], F(1)), draws = select(proper, p[2], F(1));
    const F n = good + bad;
    const F mean = draws * good / n;
    const F spread = mean * (bad / n) * ((n - draws) / select(n > F(1), n - F(1), F(1)));
    const F skew = (bad - good) * (n - F(2) * draws) / (n * n) * F(1.0 / 6);
    const F k = discrete_quantile(Problem<F>{good, bad, draws}, u, lower, mean, sqrt(spread), skew, select(proper, r.least, F(0)),
                                  select(proper, r.most, F(1)));
    return select(proper, k, r.least);
  }
  template <class F>
  static GENFAST_HD F probability(F x, const F* p, bool lower) {
    const Range<F> r = range(p);
    const auto proper = r.most > r.least;
    const Problem<F> problem = {select(proper, p[0], F(1)), select(proper, p[1], F(1)), select(proper, p[2], F(1))};
    const F value = discrete_probability(problem, x, lower, select(proper, r.least, F(0)), select(proper, r.most, F(1)));
    return select(proper, value, select(x >= r.least, F(lower), select(x == x, F(!lower), x)));
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return quantile(u, p, true);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return quantile(q, p, false);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return probability(x, p, true);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return probability(x, p, false);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const Range<F> r = range(p);
    const auto proper = r.most > r.least;
    const F good = select(proper, p[0], F(1)), bad = select(proper, p[1], F(1)), draws = select(proper, p[2], F(1));
    const auto inside = (x >= r.least) & (x <= r.most) & proper;
    const F value = log_mass(select(inside, x, select(proper, r.least, F(0))), good, bad, draws);
    return on_integers(x, r.least, r.most, select(proper, value, F(0)));
  }
};

// p = p: trials up to the first success, 1, 2, ...; 1 - F(k) = (1 - p)^k.
struct GeometricFamily {
  // t = F(k) where lower, else 1 - F(k).
  template <class F>
  static GENFAST_HD F reach(F k, F rate, bool lower) {
    return lower ? -expm1_nonpositive_f64(k * rate) : exp_f64(k * rate);
  }
  template <class F>
  static GENFAST_HD F quantile(F u, const F* p, bool lower) {
    const F infinity = F(ExpLogF64::infinity);
    const F rate = log1p_f64(-p[0]);
    // By the smaller tail, so that the comparison with F is exact near both ends.
    const auto half = u <= F(0.5);
    const F t = select(half, u, F(1) - u);
    const auto from_low = select(half, F(lower), F(!lower)) > F(0);
    const F k = ceiling(select(from_low, log1p_f64(-t), log_f64(t)) / rate);
    const F guess = select(k > F(1), k, F(1)), before = guess - F(1);
    const auto reached = [&](F j) { return select(from_low, reach(j, rate, true) - t, t - reach(j, rate, false)) >= F(0); };
    const F found = select((before >= F(1)) & reached(before), before, select(reached(guess), guess, guess + F(1)));
    return select(p[0] == F(1), F(1), select(t == F(0), select(from_low, F(1), infinity), found));
  }
  template <class F>
  static GENFAST_HD F probability(F x, const F* p, bool lower) {
    const F k = floor(x);
    const auto inside = (k >= F(1)) & (k < F(ExpLogF64::infinity));
    const F value = select(p[0] == F(1), F(lower), reach(select(inside, k, F(1)), log1p_f64(-p[0]), lower));
    return select(inside, value, select(x < F(1), F(!lower), select(x >= F(1), F(lower), x)));
  }
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    return quantile(u, p, true);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return quantile(q, p, false);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return probability(x, p, true);
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return probability(x, p, false);
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    const F value = select(x == F(1), log_f64(p[0]), fma(x - F(1), log1p_f64(-p[0]), log_f64(p[0])));
    return on_integers(x, F(1), F(ExpLogF64::infinity), value);
  }
};

// p = p: 1 with probability p. F(0) = 1 - p is compared without being rounded.
struct BernoulliFamily {
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    const auto top = u > F(0.5);
    const auto high = select(top, p[0] - (F(1) - u), select(p[0] > F(0.5), u - (F(1) - p[0]), F(-1))) > F(0);
    return select(high, F(1), F(0));
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    return select(p[0] <= q, F(0), F(1));
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    return select(x < F(0), F(0), select(x < F(1), F(1) - p[0], select(x == x, F(1), x)));
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    return select(x < F(0), F(1), select(x < F(1), p[0], select(x == x, F(0), x)));
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    return on_integers(x, F(0), F(1), select(x == F(1), log_f64(p[0]), log1p_f64(-p[0])));
  }
};

// p = low, high: the integers low, ..., high.
struct DiscreteUniformFamily {
  template <class F>
  static GENFAST_HD F icdf(F u, const F* p) {
    const F n = p[1] - p[0] + F(1);
    const F product = u * n;
    const F up = ceiling(product);
    // The smallest j >= u n exactly: the product may have been rounded down to an integer.
    const F j = select((up == product) & (fma(u, n, -product) > F(0)), up + F(1), up);
    return p[0] + select(j > F(1), j, F(1)) - F(1);
  }
  template <class F>
  static GENFAST_HD F iccdf(F q, const F* p) {
    const F n = p[1] - p[0] + F(1);
    const F product = q * n;
    const F low = floor(product);
    const F j = n - select((low == product) & (fma(q, n, -product) < F(0)), low - F(1), low);
    return p[0] + select(j > F(1), j, F(1)) - F(1);
  }
  template <class F>
  static GENFAST_HD F cdf(F x, const F* p) {
    const F n = p[1] - p[0] + F(1);
    return select(x < p[0], F(0), select(x >= p[1], F(1), (floor(x) - p[0] + F(1)) / n));
  }
  template <class F>
  static GENFAST_HD F ccdf(F x, const F* p) {
    const F n = p[1] - p[0] + F(1);
    return select(x < p[0], F(1), select(x >= p[1], F(0), (p[1] - floor(x)) / n));
  }
  template <class F>
  static GENFAST_HD F log_prob(F x, const F* p) {
    return on_integers(x, p[0], p[1], -log_f64(p[1] - p[0] + F(1)));
  }
};

}  // namespace numerics
}  // namespace genfast
