// What a core reaches of its FMA peak right now, in GFLOP/s, for conftest.py to call between the rounds of a benchmark:
// g++ -O2 -shared -fPIC benchmarks/fma_rate.cc -o fma_rate.so
#include "fma_peak.h"

// Some 70 microseconds: over before the clock of a core that did something else has changed.
extern "C" double fma_rate() { return fma_run(20000); }
