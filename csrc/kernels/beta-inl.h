// The kernels of the beta group of families, for the target named GENFAST_NS. Included last by
// targets/<target>_beta.cc, inside the target pragma.
// clang-format off: the order matters
#include "kernels/lanes-inl.h"
#include "numerics/beta_families.h"
#include "numerics/student.h"
#include "numerics/normal.h"
#include "kernels/normal-inl.h"
#include "kernels/elementwise-inl.h"
// clang-format on

namespace genfast {
GENFAST_BETA_FAMILIES(GENFAST_FAMILY_ROW)
}  // namespace genfast
