// Inverting a distribution function lane by lane so that the result never decreases when u grows. Called by numerics/gamma.h,
// beta.h and student.h with a Problem: tails, local, unit, cell, advance, drift and scale. Raises nothing, loops over no data.
//
// x is found inside a cell [g, g + cell) of a fixed grid, decided by F(g) <= u < F(g + cell), and is then g plus a Taylor step in
// u - F(g). So x is monotone whatever F's rounding errors are (as long as F is monotone on the grid), and one evaluation
// of F is enough when the starting value lies in the right cell.
#pragma once
#include "numerics/special.h"

namespace genfast {
namespace numerics {

template <class F>
struct Tails {
  F lower, upper;  // F and 1 - F; the smaller one has full relative accuracy
  F slope;         // unit f(x), f the density
};

// With x = g + unit e: f(x) / f(g) is exp of an integral of -(beta + gamma e) / (1 + linear e + square e^2) de.
template <class F>
struct LocalShape {
  F linear, square, beta, gamma;
};

// The displacement e where F(g + unit e) - F(g) = w unit f(g): six terms of the inverse function's Taylor series, from
// e' = E, (1 + linear e + square e^2) E' = E^2 (beta + gamma e), E = f(g) / f(x).
template <class F>
GENFAST_CALL F inverse_step(const LocalShape<F>& s, F w) {
  constexpr int order = 6;
  F density[order], e[order + 1], weight[order];
  density[0] = F(1);
  e[1] = F(1);
#pragma GCC unroll 8
  for (int k = 0; k + 1 < order; ++k) {
    F both[order];  // E^2
#pragma GCC unroll 8
    for (int j = 0; j <= k; ++j) {
      both[j] = F(0);
#pragma GCC unroll 8
      for (int i = 0; i <= j; ++i) both[j] = fma(density[i], density[j - i], both[j]);
    }
    if (k > 0) {
      F twice = F(0);
#pragma GCC unroll 8
      for (int i = 1; i < k; ++i) twice = fma(e[i], e[k - i], twice);
      weight[k] = fma(s.linear, e[k], s.square * twice);
    }
    F sum = F(0), left = F(0);
#pragma GCC unroll 8
    for (int i = 1; i <= k; ++i) {
      sum = fma(e[i], both[k - i], sum);
      left = fma(weight[i] * F(k - i + 1), density[k - i + 1], left);
    }
    density[k + 1] = (fma(s.beta, both[k], s.gamma * sum) - left) * F(1.0 / (k + 1));
    e[k + 2] = density[k + 1] * F(1.0 / (k + 2));
  }
  F r = e[order];
#pragma GCC unroll 8
  for (int k = order - 1; k >= 1; --k) r = fma(r, w, e[k]);
  return r * w;
}

template <class F>
GENFAST_INLINE F power_of_two_below(F x) {
  return bits_and(x, uint64_t{0x7ff0000000000000});
}

// A probability that tails can be compared with: near 2^-1022 these lose digits to underflow on the way, and x could decrease, so
// everything below 2^-1000 counts as 2^-1000. 0 stays 0.
template <class F>
GENFAST_INLINE F tail_probability(F t) {
  constexpr double least = 0x1p-1000;
  return select((t > F(0)) & (t < F(least)), F(least), t);
}

// The cell of a density on x > 0 with unit(x) = x: about scale^-1 2^-12 wide relative to x, narrower where the upper tail, beyond
// 4 * mode, falls like exp(-rate x).
template <class F>
GENFAST_INLINE F relative_cell(F x, F scale, F rate, F mode) {
  const F binade = power_of_two_below(x);
  const F fall = rate * binade;
  const F local = select((fall >= F(4) * mode) & (fall > scale), fall, scale);
  return binade * F(0x1p-12) * power_of_two_below(F(1) / local);
}

// x with F(x) = t where lower, else with 1 - F(x) = t, 0 < t < 1, from the starting value x. Lanes whose result is not negative
// are done already.
template <class Problem, class F, class M>
GENFAST_CALL F invert_in_cells(const Problem& problem, F t, M lower, F x, F result) {
  F top = F(ExpLogF64::infinity);
  for (int round = 0; round < 60; ++round) {
    const F cell = problem.cell(x);
    const F magic = cell * F(6755399441055744.0);
    F left = (x + magic) - magic;
    left = select(left > x, left - cell, left);
    const Tails<F> tails = problem.tails(left);
    const F rise = select(lower, t - tails.lower, tails.upper - t);
    const F w = rise / tails.slope;
    const LocalShape<F> shape = problem.local(left);
    const auto close = abs(w) * (abs(shape.beta) + problem.scale) < F(0.06);
    F next = fma(problem.unit(left), inverse_step(shape, w), left);
    const auto distant = select(close, F(0), F(1)) > F(0);
    if (any((result < F(0)) & distant)) {
      // Halley's step for the logarithm of the smaller tail as a function of the problem's own coordinate, log x or x.
      const auto small_lower = tails.lower < tails.upper;
      const F tail = select(small_lower, tails.lower, tails.upper);
      const F sign = select(small_lower, F(1), F(-1));
      const F goal = select(sign * select(lower, F(1), F(-1)) > F(0), t, F(1) - t);
      const F hazard = tails.slope / tail;
      const F s = sign * log_f64(goal / tail) / hazard;
      const F bend = fma(F(0.5) * s, problem.drift(shape, left) - sign * hazard, F(1));
      const F step = s / select(bend > F(0.3), bend, F(0.3));
      const auto usable = (tails.slope > F(0)) & (tail > F(0)) & (step == step);
      next = select(distant, problem.advance(left, select(usable, step, select(rise > F(0), F(1), F(-1)))), next);
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
