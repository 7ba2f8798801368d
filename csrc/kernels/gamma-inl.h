// The kernels of the gamma group of families, for the target named GENFAST_NS. Included last by
// targets/<target>_gamma.cc, inside the target pragma.
// clang-format off: the order matters
#include "kernels/lanes-inl.h"
#include "numerics/gamma_families.h"
#include "numerics/normal.h"
#include "kernels/normal-inl.h"
#include "kernels/elementwise-inl.h"
// clang-format on

namespace genfast {
GENFAST_GAMMA_FAMILIES(GENFAST_FAMILY_ROW)
}  // namespace genfast
