#include "cuda/sampling/groups.h"
#include "cuda/sampling/launch.cuh"
#include "numerics/gamma_families.h"

GENFAST_GROUP(launch_gamma, GENFAST_GAMMA_FAMILIES, GENFAST_LAUNCH_FAMILY)
