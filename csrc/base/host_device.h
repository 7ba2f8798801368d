// What marks functions for compilers of devices: GENFAST_HD those that a device runs as well as the host, GENFAST_INLINE_MEMBER
// members that are always inlined, on either. Macros only.
#pragma once

#if defined(__CUDACC__)
#define GENFAST_HD __host__ __device__
#define GENFAST_INLINE_MEMBER __host__ __device__ __forceinline__
#else
#define GENFAST_HD
#define GENFAST_INLINE_MEMBER inline __attribute__((always_inline))
#endif
