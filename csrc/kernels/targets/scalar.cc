// The kernels in plain C++: the reference for the other targets, and the only one on CPUs they do not cover.
#include "kernels/simd.h"

#define GENFAST_NS scalar
// clang-format off: the order matters
#include "kernels/simd_scalar-inl.h"
#include "kernels/all-inl.h"
// clang-format on
