// The functions of one group of families: a switch over its families, for whoever runs a program (interpret or launch_on_grid).
#pragma once
#include "cuda/sampling/elementwise-inl.h"

#define GENFAST_INTERPRET_FAMILY(name, params)                              \
  case Family::name:                                                        \
    interpret<FamilyProgram<Family::name, numerics::name##Family, params>>(place, args); \
    return true;
#define GENFAST_LAUNCH_FAMILY(name, params)                                               \
  case Family::name:                                                                      \
    launch_on_grid<FamilyProgram<Family::name, numerics::name##Family, params>>(place, args, args.n); \
    return true;
#define GENFAST_GROUP(function, families, X)                         \
  namespace genfast {                                                \
  namespace cuda {                                                   \
  bool function(const Place& place, const ElementwiseArgs& args) {   \
    switch (args.family) {                                           \
      families(X) default : return false;                            \
    }                                                                \
  }                                                                  \
  }                                                                  \
  }
