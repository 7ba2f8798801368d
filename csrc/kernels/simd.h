// What every target file needs before it switches its instruction set on: the C and intrinsics headers (compiled for the base
// CPU, so that nothing of theirs is tied to a target), the kernel interface, and the inlining macros.
// Included first by targets/*.cc. It defines no lane type: those are the simd_<target>-inl.h files.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cstddef>
#include <cstdint>
#include <utility>

// GCC 12's intrinsics start from deliberately undefined registers, and -Wall blames whoever they are inlined into.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#define GENFAST_X86 1
#endif

#include "base/host_device.h"
#include "base/ops.h"
#include "kernels/kernels.h"
#include "kernels/targets/targets.h"

#define GENFAST_JOIN2(a, b) a##b
#define GENFAST_JOIN(a, b) GENFAST_JOIN2(a, b)
