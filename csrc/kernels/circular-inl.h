// The kernels of the circular families, for the target named GENFAST_NS. Included last by
// targets/<target>_circular.cc, inside the target pragma.
// clang-format off: the order matters
#include "kernels/lanes-inl.h"
#include "numerics/von_mises.h"
#include "numerics/normal.h"
#include "kernels/normal-inl.h"
#include "kernels/elementwise-inl.h"
// clang-format on

namespace genfast {
GENFAST_CIRCULAR_FAMILIES(GENFAST_FAMILY_ROW)
}  // namespace genfast
