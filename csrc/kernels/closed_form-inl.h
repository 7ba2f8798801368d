// The kernels of the continuous families with closed forms, for the target named GENFAST_NS. Included last by
// targets/<target>_closed_form.cc, inside the target pragma.
// clang-format off: the order matters
#include "kernels/lanes-inl.h"
#include "numerics/closed_form.h"
#include "kernels/normal-inl.h"
#include "kernels/elementwise-inl.h"
// clang-format on

namespace genfast {
GENFAST_CLOSED_FORM_FAMILIES(GENFAST_FAMILY_ROW)
}  // namespace genfast
