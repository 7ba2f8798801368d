#include "cuda/sampling/groups.h"
#include "cuda/sampling/launch.cuh"
#include "numerics/discrete.h"

GENFAST_GROUP(launch_discrete, GENFAST_DISCRETE_FAMILIES, GENFAST_LAUNCH_FAMILY)
