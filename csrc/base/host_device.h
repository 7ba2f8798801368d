// What functions and loops say to compilers of devices. GENFAST_HD: a device runs it as well as the host. GENFAST_INLINE_MEMBER: a
// member that is always inlined, on either. GENFAST_UNROLL(n): the loop behind it is unrolled n times. Macros only.
#pragma once

#if defined(__CUDACC__)
#define GENFAST_HD __host__ __device__
#define GENFAST_INLINE_MEMBER __host__ __device__ __forceinline__
#else
#define GENFAST_HD
#define GENFAST_INLINE_MEMBER inline __attribute__((always_inline))
#endif

#define GENFAST_TEXT(...) #__VA_ARGS__
#if defined(__CUDA_ARCH__)
#define GENFAST_UNROLL(n) _Pragma(GENFAST_TEXT(unroll n))
#else
#define GENFAST_UNROLL(n) _Pragma(GENFAST_TEXT(GCC unroll n))
#endif
