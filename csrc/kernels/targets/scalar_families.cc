// The kernels of families-inl.h in plain C++.
#include "kernels/simd.h"

#define GENFAST_NS scalar
// clang-format off: the order matters
#include "kernels/simd_scalar-inl.h"
#include "kernels/families-inl.h"
// clang-format on
