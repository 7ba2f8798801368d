// Chebyshev series on a panel, and the inverse of one, for the Python code that builds inverse tables. Formulas only: which panel
// belongs to which x is decided by the caller.
#pragma once
#include <cstdint>

namespace genfast {
namespace numerics {

// The sum of c[k] T_k(tau), k < count, by Clenshaw's recurrence (MTAC 9, 1955).
static inline double chebyshev(const double* c, int64_t count, double tau) {
  const double twice = 2.0 * tau;
  double b1 = 0.0, b2 = 0.0;
  for (int64_t k = count - 1; k > 0; --k) {
    const double b0 = c[k] + twice * b1 - b2;
    b2 = b1;
    b1 = b0;
  }
  return c[0] + tau * b1 - b2;
}

// tau in [-1, 1] with integral(tau) = share, or 1 - share if `upper`: Newton's method inside a shrinking bracket. `integral` does
// not decrease, from 0 to 1; `density`, its derivative, has `count` coefficients, one fewer.
static inline double chebyshev_inverse(const double* integral, const double* density, int64_t count, double share, bool upper) {
  double low = -1.0, high = 1.0, tau = upper ? 1.0 - 2.0 * share : 2.0 * share - 1.0;
  for (int step = 0; step < 80; ++step) {
    const double value = chebyshev(integral, count + 1, tau);
    const double miss = upper ? share - (1.0 - value) : value - share;
    if (miss == 0.0) break;
    if (miss < 0.0) low = tau;
    if (miss > 0.0) high = tau;
    const double newton = tau - miss / chebyshev(density, count, tau);
    const double next = newton > low && newton < high ? newton : (low + high) / 2;
    const double moved = next > tau ? next - tau : tau - next;
    tau = next;
    if (!(moved > 2e-16)) break;
  }
  return tau;
}

}  // namespace numerics
}  // namespace genfast
