// The formulas of the pointwise operations of base/ops.h over a float lane type F: one struct a MapOp, called by the map kernels
// and by device code. Formulas only; whoever stores a result makes its NaN canonical.
#pragma once
#include "numerics/activations.h"

namespace genfast {
namespace numerics {

#define GENFAST_MAP(name, expression)                   \
  struct Map_##name {                                   \
    template <class F>                                  \
    GENFAST_INLINE F apply(F a, F b, F c, const F* p) { \
      (void)a, (void)b, (void)c, (void)p;               \
      return expression;                                \
    }                                                   \
  };
#define GENFAST_ONE F(1.0f)
#define GENFAST_ZERO F(0.0f)
GENFAST_MAP(identity, a)
GENFAST_MAP(neg, -a)
GENFAST_MAP(abs, abs(a))
GENFAST_MAP(relu, max(a, GENFAST_ZERO))
GENFAST_MAP(sigmoid, sigmoid(a))
GENFAST_MAP(tanh, tanh(a))
GENFAST_MAP(exp, exp_f32(a))
GENFAST_MAP(log, log_f32(a))
GENFAST_MAP(sqrt, sqrt(a))
GENFAST_MAP(rsqrt, GENFAST_ONE / sqrt(a))
GENFAST_MAP(square, a* a)
GENFAST_MAP(reciprocal, GENFAST_ONE / a)
GENFAST_MAP(erf, erf(a))
GENFAST_MAP(gelu, gelu(a))
GENFAST_MAP(gelu_tanh, gelu_tanh(a))
GENFAST_MAP(silu, silu(a))
GENFAST_MAP(floor, floor(a))
GENFAST_MAP(round, round_even(a))
GENFAST_MAP(sign, select(a > GENFAST_ZERO, GENFAST_ONE, select(a < GENFAST_ZERO, F(-1.0f), a + GENFAST_ZERO)))
GENFAST_MAP(logical_not, select(a == GENFAST_ZERO, GENFAST_ONE, GENFAST_ZERO))
GENFAST_MAP(elu, elu(a, p[0], p[1], p[2]))
GENFAST_MAP(leaky_relu, select(a > GENFAST_ZERO, a, a* p[0]))
GENFAST_MAP(clamp, select(select(a < p[0], p[0], a) > p[1], p[1], select(a < p[0], p[0], a)))
GENFAST_MAP(softplus, softplus(a, p[0], p[1]))
GENFAST_MAP(add, a + b)
GENFAST_MAP(sub, a - b)
GENFAST_MAP(mul, a* b)
GENFAST_MAP(div, a / b)
GENFAST_MAP(maximum, max(a, b))
GENFAST_MAP(minimum, select(a < b, a, b))
GENFAST_MAP(eq, select(a == b, GENFAST_ONE, GENFAST_ZERO))
GENFAST_MAP(ne, select(a != b, GENFAST_ONE, GENFAST_ZERO))
GENFAST_MAP(lt, select(a < b, GENFAST_ONE, GENFAST_ZERO))
GENFAST_MAP(le, select(a <= b, GENFAST_ONE, GENFAST_ZERO))
GENFAST_MAP(gt, select(a > b, GENFAST_ONE, GENFAST_ZERO))
GENFAST_MAP(ge, select(a >= b, GENFAST_ONE, GENFAST_ZERO))
GENFAST_MAP(where, select(a != GENFAST_ZERO, b, c))
GENFAST_MAP(madd, fma(a, b, c))
#undef GENFAST_ZERO
#undef GENFAST_ONE
#undef GENFAST_MAP

}  // namespace numerics
}  // namespace genfast
