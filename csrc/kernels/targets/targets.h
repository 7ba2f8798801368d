// The kernel tables compiled into this build and the CPU tests that go with them. Called by dispatch.cc; the tables are defined
// one per targets/<target>.cc. Nothing else should name a target.
#pragma once
#include "kernels/kernels.h"

namespace genfast {

// Defined in dispatch.cc, which is compiled for the base CPU, so that asking is always safe.
bool cpu_runs_scalar();
bool cpu_runs_avx2();
bool cpu_runs_avx512();

// A family's kernels, defined in the target's file of the family's group and gathered in its table.
#define GENFAST_FAMILY_SYMBOL2(target, name) target##_##name##_kernels
#define GENFAST_FAMILY_SYMBOL(target, name) GENFAST_FAMILY_SYMBOL2(target, name)
#define X(name, params)                               \
  extern const FamilyKernels scalar_##name##_kernels; \
  extern const FamilyKernels avx2_##name##_kernels;   \
  extern const FamilyKernels avx512_##name##_kernels;
GENFAST_FAMILIES(X)
#undef X

extern const Kernels scalar_kernels;
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;

// Defined one per targets/*_rows.cc.
extern const RowKernels scalar_row_kernels;
extern const RowKernels avx2_row_kernels;
extern const RowKernels avx512_row_kernels;

// Defined one per targets/*_heads.cc.
extern const HeadKernels scalar_head_kernels;
extern const HeadKernels avx2_head_kernels;
extern const HeadKernels avx512_head_kernels;

}  // namespace genfast
