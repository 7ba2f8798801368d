// Every loop nest and the table that lists them, for the target named GENFAST_NS and the lanes of simd_<target>-inl.h. Included
// last by targets/*.cc, inside the target pragma. Nothing here is visible to other files except the table.
// clang-format off: the order matters
#include "kernels/lanes-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/map-inl.h"
#include "kernels/row-inl.h"
#include "kernels/lookup-inl.h"
#include "kernels/attend-inl.h"
#include "kernels/attend_many-inl.h"
#include "kernels/logits-inl.h"
#include "kernels/categorical-inl.h"
#include "kernels/bernoulli-inl.h"
#include "kernels/uniforms-inl.h"
#include "kernels/inverse_table-inl.h"
#include "kernels/table-inl.h"
// clang-format on
