// Every loop nest and the table that lists them, for the target named GENFAST_NS. Included last by targets/*.cc, inside the
// target pragma. Nothing here is visible to other files except the table.
#include "kernels/bernoulli-inl.h"
#include "kernels/categorical-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/lanes-inl.h"
#include "kernels/lookup-inl.h"
#include "kernels/map-inl.h"
#include "kernels/row-inl.h"
#include "kernels/table-inl.h"
