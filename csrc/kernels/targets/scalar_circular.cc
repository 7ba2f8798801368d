// The kernels of circular-inl.h in plain C++.
#include "kernels/simd.h"

#define GENFAST_NS scalar
// clang-format off: the order matters
#include "kernels/simd_scalar-inl.h"
#include "kernels/circular-inl.h"
// clang-format on
