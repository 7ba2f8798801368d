// The kernels of families-inl.h for x86 with AVX-512.
#include "kernels/simd.h"

#if defined(GENFAST_X86)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif

#define GENFAST_NS avx512
// clang-format off: the order matters
#include "kernels/simd_avx512-inl.h"
#include "kernels/families-inl.h"
// clang-format on

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
