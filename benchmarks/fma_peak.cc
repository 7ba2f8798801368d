// Prints the FMA peak of one core in GFLOP/s: g++ -O2 benchmarks/fma_peak.cc -o fma_peak && ./fma_peak
#include "fma_peak.h"

#include <cstdio>

int main() { std::printf("%.1f\n", fma_peak()); }
