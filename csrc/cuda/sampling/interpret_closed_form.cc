#include "cuda/sampling/groups.h"
#include "cuda/sampling/interpret.h"
#include "numerics/closed_form.h"

GENFAST_GROUP(interpret_closed_form, GENFAST_CLOSED_FORM_FAMILIES, GENFAST_INTERPRET_FAMILY)
