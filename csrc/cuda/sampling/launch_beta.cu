#include "cuda/sampling/groups.h"
#include "cuda/sampling/launch.cuh"
#include "numerics/beta_families.h"
#include "numerics/student.h"

GENFAST_GROUP(launch_beta, GENFAST_BETA_FAMILIES, GENFAST_LAUNCH_FAMILY)
