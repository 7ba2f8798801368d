// The kernel tables compiled into this build and the CPU tests that go with them. Called by dispatch.cc; the tables are defined
// one per targets/*.cc. Nothing else should name a target.
#pragma once
#include "kernels/kernels.h"

namespace genfast {

// Defined in dispatch.cc, which is compiled for the base CPU, so that asking is always safe.
bool cpu_runs_scalar();
bool cpu_runs_avx2();
bool cpu_runs_avx512();

extern const Kernels scalar_kernels;
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;

// Defined one per targets/*_rows.cc.
extern const RowKernels scalar_row_kernels;
extern const RowKernels avx2_row_kernels;
extern const RowKernels avx512_row_kernels;

}  // namespace genfast
