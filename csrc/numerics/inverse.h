// Inverting a distribution function lane by lane so that the result never decreases when u grows. Called by numerics/gamma.h,
// beta.h and student.h with a Problem: tails(x), local(x), limit(), scale and rate. Raises nothing, loops over no data.
//
// x is found inside a cell [g, g + cell) of a fixed grid, decided by F(g) <= u < F(g + cell), and is then g plus a Taylor step in
// u - F(g). So x is monotone whatever F's rounding errors are (as long as F is monotone on the grid), and one evaluation
// of F is enough when the starting value lies in the right cell.
#pragma once
#include "numerics/deviance.h"

namespace genfast {
namespace numerics {

template <class F>
struct Tails {
  F lower, upper;  // F and 1 - F; the smaller one has full relative accuracy
  F slope;         // x f(x), f the density
};

// f(x) / f(g) at x = g (1 + e) is exp of an integral of -(beta + gamma e) / ((1 + e) (1 - rho e)): the gamma and beta densities.
template <class F>
struct LocalShape {
  F rho, beta, gamma;
};

// The displacement e with x = g (1 + e) where F(x) - F(g) = w g f(g): seven terms of the inverse function's Taylor series, from
// e' = E, (1 + e) (1 - rho e) E' = E^2 (beta + gamma e), E = f(g) / f(x).
template <class F>
static F inverse_step(const LocalShape<F>& s, F w) {
  constexpr int order = 7;
  F density[order], e[order + 1], weight[order];  // weight: (1 + e) (1 - rho e)
  const F linear = F(1) - s.rho;
  density[0] = F(1);
  e[1] = F(1);
  for (int k = 0; k + 1 < order; ++k) {
    F square[order];
    for (int j = 0; j <= k; ++j) {
      square[j] = F(0);
      for (int i = 0; i <= j; ++i) square[j] = fma(density[i], density[j - i], square[j]);
    }
    if (k > 0) {
      F twice = F(0);
      for (int i = 1; i < k; ++i) twice = fma(e[i], e[k - i], twice);
      weight[k] = fma(linear, e[k], -s.rho * twice);
    }
    F sum = F(0), left = F(0);
    for (int i = 1; i <= k; ++i) {
      sum = fma(e[i], square[k - i], sum);
      left = fma(weight[i] * F(k - i + 1), density[k - i + 1], left);
    }
    density[k + 1] = (fma(s.beta, square[k], s.gamma * sum) - left) * F(1.0 / (k + 1));
    e[k + 2] = density[k + 1] * F(1.0 / (k + 2));
  }
  F r = e[order];
  for (int k = order - 1; k >= 1; --k) r = fma(r, w, e[k]);
  return r * w;
}

template <class F>
GENFAST_INLINE F power_of_two_below(F x) {
  return bits_and(x, uint64_t{0x7ff0000000000000});
}

// x with F(x) = t where lower, else with 1 - F(x) = t, 0 < t <= 1/2, from the starting value x > 0. Lanes whose result is not
// negative are done already. rate * x beyond 4 * mode is where the upper tail falls like exp(-rate x).
template <class Problem, class F, class M>
static F invert_in_cells(const Problem& problem, F t, M lower, F x, F result, F mode) {
  F top = F(ExpLogF64::infinity);
  for (int round = 0; round < 60; ++round) {
    const F binade = power_of_two_below(x);
    const F fall = problem.rate * binade;
    const F local = select((fall >= F(4) * mode) & (fall > problem.scale), fall, problem.scale);
    const F cell = binade * F(0x1p-11) * power_of_two_below(F(1) / local);
    const F magic = cell * F(6755399441055744.0);
    F left = (x + magic) - magic;
    left = select(left > x, left - cell, left);
    const Tails<F> tails = problem.tails(left);
    const F value = select(lower, tails.lower, tails.upper);
    const F rise = select(lower, t - value, value - t);
    const F w = rise / tails.slope;
    const LocalShape<F> shape = problem.local(left);
    const auto close = abs(w) * (abs(shape.beta) + problem.scale + F(1)) < F(0.06);
    F next = fma(left, inverse_step(shape, w), left);
    const auto distant = select(close, F(0), F(1)) > F(0);
    if (any((result < F(0)) & distant)) {
      // Halley's step for log F (or log(1 - F)) as a function of log x.
      const F hazard = tails.slope / value;
      const F r = log_f64(t / value) / hazard;
      const F s = select(lower, r, -r);
      const F bend = fma(F(0.5) * s, F(1) - shape.beta + select(lower, -hazard, hazard), F(1));
      F step = s / select(bend > F(0.3), bend, F(0.3));
      step = select(tails.slope > F(0), select(value > F(0), step, select(lower, F(1), F(-1))), select(rise > F(0), F(1), F(-1)));
      step = select(step > F(2), F(2), select(step < F(-2), F(-2), step));
      next = select(distant, problem.limit(left, left * exp_f64(step)), next);
    }
    const auto below = rise < F(0);
    top = select(below, left, top);
    const F end = left + cell;
    const auto inside = (next < end - cell * F(0x1p-20)) | (top == end);
    const auto found = (result < F(0)) & close & inside & (rise >= F(0));
    result = select(found, select(next < end, next, end), result);
    // Otherwise go where the step leads, at least into the neighbouring cell on the side that F(g) shows.
    const F before = left - F(0.5) * cell;
    x = select(below, select(next < before, next, before), select(next > end, next, end));
    if (!any(result < F(0))) return result;
  }
  return select(result < F(0), x, result);
}

}  // namespace numerics
}  // namespace genfast
