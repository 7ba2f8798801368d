// The planner's pieces once more, for a module that cannot link to genfast._core.
#include "plan/gemm_pieces.cc"
