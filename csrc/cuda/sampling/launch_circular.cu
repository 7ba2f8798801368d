#include "cuda/sampling/groups.h"
#include "cuda/sampling/launch.cuh"
#include "numerics/von_mises.h"

GENFAST_GROUP(launch_circular, GENFAST_CIRCULAR_FAMILIES, GENFAST_LAUNCH_FAMILY)
