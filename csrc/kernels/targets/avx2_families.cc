// The kernels of families-inl.h for x86 with AVX2 and FMA.
#include "kernels/simd.h"

#if defined(GENFAST_X86)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#define GENFAST_NS avx2
// clang-format off: the order matters
#include "kernels/simd_avx2-inl.h"
#include "kernels/families-inl.h"
// clang-format on

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
