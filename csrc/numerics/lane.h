// The lane vocabulary: the handful of operations every formula in this folder is written in, spelled out for plain float and
// double. The kernels' vector types give the same names the same meaning, lane by lane. Called by the formulas; no formula
// lives here, and nothing here may round differently from IEEE 754 round-to-nearest-even.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/host_device.h"

#if defined(__FAST_MATH__)
#error "genfast's formulas promise the same bits everywhere: build without -ffast-math"
#endif

// Internal linkage and always inlined, so that a copy compiled for one CPU target can never be linked into another.
// GENFAST_CALL is for long functions, which stay calls in device code: a kernel that inlines them takes minutes to compile.
// GENFAST_CONSTANT is for arrays of constants, which device code cannot share with the host.
#if defined(__CUDACC__)
#define GENFAST_INLINE static __host__ __device__ __forceinline__
#define GENFAST_CALL static __host__ __device__ __noinline__
#else
#define GENFAST_INLINE static inline __attribute__((always_inline))
#define GENFAST_CALL static
#endif
#if defined(__CUDA_ARCH__)
#define GENFAST_CONSTANT static __constant__ constexpr
#else
#define GENFAST_CONSTANT static constexpr
#endif

namespace genfast {
namespace numerics {

GENFAST_INLINE uint32_t to_bits(float x) {
  uint32_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}
GENFAST_INLINE uint64_t to_bits(double x) {
  uint64_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}
GENFAST_INLINE float from_bits(uint32_t b) {
  float x;
  memcpy(&x, &b, sizeof x);
  return x;
}
GENFAST_INLINE double from_bits(uint64_t b) {
  double x;
  memcpy(&x, &b, sizeof x);
  return x;
}

// The builtin rather than std::fma: one instruction where the target has it, the (correct) library call elsewhere, and no
// inline library wrapper that the linker could merge across targets.
#if defined(__CUDA_ARCH__)
GENFAST_INLINE float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
GENFAST_INLINE double fma(double a, double b, double c) { return ::fma(a, b, c); }
GENFAST_INLINE float sqrt(float x) { return ::sqrtf(x); }
GENFAST_INLINE double sqrt(double x) { return ::sqrt(x); }
GENFAST_INLINE float floor(float x) { return ::floorf(x); }
GENFAST_INLINE double floor(double x) { return ::floor(x); }
GENFAST_INLINE float round_even(float x) { return ::rintf(x); }
GENFAST_INLINE double round_even(double x) { return ::rint(x); }
#else
GENFAST_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
GENFAST_INLINE double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
GENFAST_INLINE float sqrt(float x) { return __builtin_sqrtf(x); }
GENFAST_INLINE double sqrt(double x) { return __builtin_sqrt(x); }
GENFAST_INLINE float floor(float x) { return __builtin_floorf(x); }
GENFAST_INLINE double floor(double x) { return __builtin_floor(x); }
GENFAST_INLINE float round_even(float x) { return __builtin_rintf(x); }
GENFAST_INLINE double round_even(double x) { return __builtin_rint(x); }
#endif

GENFAST_INLINE float select(bool m, float a, float b) { return m ? a : b; }
GENFAST_INLINE double select(bool m, double a, double b) { return m ? a : b; }

GENFAST_INLINE float bits_and(float x, uint32_t b) { return from_bits(to_bits(x) & b); }
GENFAST_INLINE double bits_and(double x, uint64_t b) { return from_bits(to_bits(x) & b); }
GENFAST_INLINE float bits_or(float x, uint32_t b) { return from_bits(to_bits(x) | b); }
GENFAST_INLINE double bits_or(double x, uint64_t b) { return from_bits(to_bits(x) | b); }
GENFAST_INLINE float bits_or(float x, float y) { return from_bits(to_bits(x) | to_bits(y)); }
GENFAST_INLINE double bits_or(double x, double y) { return from_bits(to_bits(x) | to_bits(y)); }
GENFAST_INLINE float bits_add(float x, uint32_t b) { return from_bits(to_bits(x) + b); }
GENFAST_INLINE double bits_add(double x, uint64_t b) { return from_bits(to_bits(x) + b); }
GENFAST_INLINE float bits_add(float x, float y) { return from_bits(to_bits(x) + to_bits(y)); }
GENFAST_INLINE double bits_add(double x, double y) { return from_bits(to_bits(x) + to_bits(y)); }
template <int n>
GENFAST_INLINE float bits_shl(float x) {
  return from_bits(to_bits(x) << n);
}
template <int n>
GENFAST_INLINE double bits_shl(double x) {
  return from_bits(to_bits(x) << n);
}
template <int n>
GENFAST_INLINE float bits_shr(float x) {
  return from_bits(to_bits(x) >> n);
}
template <int n>
GENFAST_INLINE double bits_shr(double x) {
  return from_bits(to_bits(x) >> n);
}

GENFAST_INLINE float abs(float x) { return bits_and(x, uint32_t{0x7fffffff}); }
GENFAST_INLINE double abs(double x) { return bits_and(x, uint64_t{0x7fffffffffffffff}); }
GENFAST_INLINE float copysign(float x, float s) { return bits_or(abs(x), bits_and(s, uint32_t{0x80000000})); }
GENFAST_INLINE double copysign(double x, double s) { return bits_or(abs(x), bits_and(s, uint64_t{0x8000000000000000})); }
// Whether any lane is set.
GENFAST_INLINE bool any(bool m) { return m; }

GENFAST_INLINE float max(float a, float b) { return a > b ? a : b; }
GENFAST_INLINE double max(double a, double b) { return a > b ? a : b; }

// x86 and Arm generate NaNs of different sign, and compilers may swap the operands that decide whose payload survives.
template <class F>
GENFAST_INLINE F canonical(F x) {
  return select(x == x, x, F(__builtin_nanf("")));
}

}  // namespace numerics
}  // namespace genfast
