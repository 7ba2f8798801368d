#include "cuda/sampling/groups.h"
#include "cuda/sampling/launch.cuh"
#include "numerics/closed_form.h"

GENFAST_GROUP(launch_closed_form, GENFAST_CLOSED_FORM_FAMILIES, GENFAST_LAUNCH_FAMILY)
