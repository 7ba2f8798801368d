// The FMA peak of one core, measured: what every GFLOP/s here is a fraction of. For benchmarks only.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

inline double now_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

#if defined(__x86_64__)
// Twelve independent chains: enough to fill two FMA units of latency 4.
__attribute__((target("avx512f"), noinline)) inline void fma_chains_avx512(int64_t n) {
  __m512 a[12];
  const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
#pragma GCC unroll 12
  for (int i = 0; i < 12; ++i) a[i] = _mm512_set1_ps(1.0f);
  for (int64_t k = 0; k < n; ++k) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) asm volatile("vfmadd213ps %2, %1, %0" : "+v"(a[i]) : "v"(x), "v"(y));
  }
}

__attribute__((target("avx2,fma"), noinline)) inline void fma_chains_avx2(int64_t n) {
  __m256 a[12];
  const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
#pragma GCC unroll 12
  for (int i = 0; i < 12; ++i) a[i] = _mm256_set1_ps(1.0f);
  for (int64_t k = 0; k < n; ++k) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) asm volatile("vfmadd213ps %2, %1, %0" : "+x"(a[i]) : "x"(x), "x"(y));
  }
}
#endif

// GFLOP/s of one run of n rounds with the widest FMA this CPU has; 0 where it has none that is known here.
inline double fma_run(int64_t n) {
#if defined(__x86_64__)
  const bool wide = __builtin_cpu_supports("avx512f");
  if (!wide && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) return 0;
  const double start = now_seconds();
  wide ? fma_chains_avx512(n) : fma_chains_avx2(n);
  return 12.0 * n * (wide ? 32 : 16) / (now_seconds() - start) * 1e-9;
#else
  (void)n;
  return 0;
#endif
}

// The best of many short runs.
inline double fma_peak() {
  double best = 0;
  for (int i = 0; i < 300; ++i) best = std::max(best, fma_run(20000));
  return best;
}
