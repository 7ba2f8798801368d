#include "cuda/sampling/groups.h"
#include "cuda/sampling/interpret.h"
#include "numerics/gamma_families.h"

GENFAST_GROUP(interpret_gamma, GENFAST_GAMMA_FAMILIES, GENFAST_INTERPRET_FAMILY)
