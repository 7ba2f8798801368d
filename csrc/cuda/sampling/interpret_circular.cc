#include "cuda/sampling/groups.h"
#include "cuda/sampling/interpret.h"
#include "numerics/von_mises.h"

GENFAST_GROUP(interpret_circular, GENFAST_CIRCULAR_FAMILIES, GENFAST_INTERPRET_FAMILY)
