// The kernels of every family of distributions, for the target named GENFAST_NS. Included last by targets/<target>_families.cc,
// inside the target pragma.
// clang-format off: the order matters
#include "kernels/lanes-inl.h"
#include "numerics/closed_form.h"
#include "numerics/gamma_families.h"
#include "numerics/beta_families.h"
#include "numerics/student.h"
#include "numerics/discrete.h"
#include "numerics/von_mises.h"
#include "numerics/normal.h"
#include "kernels/normal-inl.h"
#include "kernels/elementwise-inl.h"
// clang-format on

namespace genfast {
GENFAST_FAMILIES(GENFAST_FAMILY_ROW)
}  // namespace genfast
