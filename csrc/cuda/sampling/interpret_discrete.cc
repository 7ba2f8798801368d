#include "cuda/sampling/groups.h"
#include "cuda/sampling/interpret.h"
#include "numerics/discrete.h"

GENFAST_GROUP(interpret_discrete, GENFAST_DISCRETE_FAMILIES, GENFAST_INTERPRET_FAMILY)
