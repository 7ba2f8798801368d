#include "cuda/sampling/groups.h"
#include "cuda/sampling/interpret.h"
#include "numerics/beta_families.h"
#include "numerics/student.h"

GENFAST_GROUP(interpret_beta, GENFAST_BETA_FAMILIES, GENFAST_INTERPRET_FAMILY)
