// Heads of mixtures and families in plain C++, apart from scalar.cc so that both compile at once.
#include "kernels/simd.h"

#define GENFAST_NS scalar
// clang-format off: the order matters
#include "kernels/simd_scalar-inl.h"
#include "kernels/lanes-inl.h"
#include "kernels/links-inl.h"
#include "kernels/logistic_mixture-inl.h"
// clang-format on
