// The names of the pointwise and row operations: one list, shared by the graph reader (names), the kernels (tables of
// function pointers indexed by it) and the engine. It holds no arithmetic.
#pragma once
#include <cstdint>

namespace genfast {

// X(name, operands, parameters)
#define GENFAST_MAP_OPS(X)                                                                                                      \
  X(identity, 1, 0)                                                                                                             \
  X(neg, 1, 0) X(abs, 1, 0) X(relu, 1, 0) X(sigmoid, 1, 0) X(tanh, 1, 0) X(exp, 1, 0) X(log, 1, 0) X(sqrt, 1, 0) X(rsqrt, 1, 0) \
      X(square, 1, 0) X(reciprocal, 1, 0) X(erf, 1, 0) X(gelu, 1, 0) X(gelu_tanh, 1, 0) X(silu, 1, 0) X(floor, 1, 0)            \
          X(round, 1, 0) X(sign, 1, 0) X(logical_not, 1, 0) X(elu, 1, 3) X(leaky_relu, 1, 1) X(clamp, 1, 2) X(softplus, 1, 2)   \
              X(add, 2, 0) X(sub, 2, 0) X(mul, 2, 0) X(div, 2, 0) X(maximum, 2, 0) X(minimum, 2, 0) X(eq, 2, 0) X(ne, 2, 0)     \
                  X(lt, 2, 0) X(le, 2, 0) X(gt, 2, 0) X(ge, 2, 0) X(where, 3, 0) X(madd, 3, 0)

enum class MapOp : uint8_t {
#define X(name, operands, parameters) name,
  GENFAST_MAP_OPS(X)
#undef X
      count
};

// X(name, parameters, reduces to one channel)
#define GENFAST_ROW_OPS(X) \
  X(layer_norm, 1, false)  \
  X(rms_norm, 1, false) X(softmax, 0, false) X(log_softmax, 0, false) X(sum, 0, true) X(mean, 0, true) X(max, 0, true)

enum class RowOp : uint8_t {
#define X(name, parameters, reduces) name,
  GENFAST_ROW_OPS(X)
#undef X
      count
};

struct OpInfo {
  const char* name;
  int operands, params;
  bool reduces;
};

inline const OpInfo& info(MapOp op) {
  static const OpInfo table[] = {
#define X(name, operands, parameters) {#name, operands, parameters, false},
      GENFAST_MAP_OPS(X)
#undef X
  };
  return table[static_cast<int>(op)];
}

inline const OpInfo& info(RowOp op) {
  static const OpInfo table[] = {
#define X(name, parameters, reduces) {#name, 1, parameters, reduces},
      GENFAST_ROW_OPS(X)
#undef X
  };
  return table[static_cast<int>(op)];
}

}  // namespace genfast
