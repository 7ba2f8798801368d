// tan(pi y) and atan(t) / pi over a double lane type F. Called by the Cauchy family. Coefficients are our own fits (Chebyshev
// interpolation in 40 digits).
#pragma once
#include "numerics/lane.h"

namespace genfast {
namespace numerics {

// tan(pi y) for 0 <= y <= 1/4, at most 1: monotone, because the correction to 3.5 y is small.
template <class F>
GENFAST_INLINE F tanpi_quarter(F y) {
  const F z = y * y;
  F w = F(0x1.76c5560643034p+34);
  w = fma(w, z, F(-0x1.76d886388a9a5p+32));
  w = fma(w, z, F(0x1.308fed7fe723dp+30));
  w = fma(w, z, F(-0x1.01daa448c1993p+26));
  w = fma(w, z, F(0x1.159dc43a68bafp+24));
  w = fma(w, z, F(0x1.198534f95d6f0p+21));
  w = fma(w, z, F(0x1.4c30407519e67p+19));
  w = fma(w, z, F(0x1.454fb8489ad2ap+17));
  w = fma(w, z, F(0x1.45ff1ac884c22p+15));
  w = fma(w, z, F(0x1.45f268f2dfd14p+13));
  w = fma(w, z, F(0x1.45f335045558bp+11));
  w = fma(w, z, F(0x1.45f472c0211f6p+9));
  w = fma(w, z, F(0x1.45fff9b510713p+7));
  w = fma(w, z, F(0x1.466bc67759b5ap+5));
  w = fma(w, z, F(0x1.4abbce625be5ep+3));
  w = fma(w, z, F(-0x1.6f0255dde973ep-2));
  const F x = fma(y, F(3.5), y * w);
  return select(x > F(1), F(1), x);
}

// atan(t) / pi for 0 <= t <= 1, at most 1/4.
template <class F>
GENFAST_INLINE F atan_unit_over_pi(F x) {
  const F t = x * x;
  F num = F(0x1.3e196a553aff7p-18);
  num = fma(num, t, F(0x1.8d3c827d29b09p-11));
  num = fma(num, t, F(0x1.27cb7a40599dfp-6));
  num = fma(num, t, F(0x1.343f51f826b17p-3));
  num = fma(num, t, F(0x1.220d33363a1e6p-1));
  num = fma(num, t, F(0x1.0cd9d67116738p+0));
  num = fma(num, t, F(0x1.de7570d461768p-1));
  num = fma(num, t, F(0x1.45f306dc9c883p-2));
  F den = F(0x1.74c59aa2fc996p-13);
  den = fma(den, t, F(0x1.3e09408e64ebep-7));
  den = fma(den, t, F(0x1.24ac0b19194c2p-3));
  den = fma(den, t, F(0x1.c235f8b36478dp-1));
  den = fma(den, t, F(0x1.55220f6858bc6p+1));
  den = fma(den, t, F(0x1.0c18a33c566a4p+2));
  den = fma(den, t, F(0x1.a27281c20e799p+1));
  den = fma(den, t, F(0x1.0000000000000p+0));
  const F y = x * (num / den);
  return select(y > F(0.25), F(0.25), y);
}

}  // namespace numerics
}  // namespace genfast
