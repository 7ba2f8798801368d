// u(seed, row, site): the uniforms behind every sample, strictly inside (0, 1). Called by the engine and the samplers.
// A number depends on its three coordinates alone, never on where a call starts, how long it is or who makes it.
//
// Layout, fixed for good: key = seed (low, high word); counter = (row low, row high, site / w, domain), where w sites share a
// block: w = 2 and domain 0 in double, w = 4 and domain 1 in float. Past 2^32 blocks the counter carries into the upper 24 bits
// of the domain word, so that no two sites share a number.
#pragma once
#include "numerics/philox.h"

namespace genfast {

constexpr uint32_t kUniformDomainF64 = 0, kUniformDomainF32 = 1;

GENFAST_INLINE numerics::PhiloxBlock uniform_block(uint64_t seed, uint64_t row, uint64_t block, uint32_t domain) {
  return numerics::philox4x32({{static_cast<uint32_t>(row), static_cast<uint32_t>(row >> 32), static_cast<uint32_t>(block),
                                domain | static_cast<uint32_t>(block >> 32) << 8}},
                              static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

// (k + 1/2) 2^-52 with k the top 52 bits of a pair of words. Both operations are exact.
GENFAST_INLINE double uniform_f64(uint32_t low, uint32_t high) {
  const uint64_t k = (uint64_t{high} << 32 | low) >> 12;
  return (static_cast<double>(k) + 0.5) * 0x1p-52;
}
// (k + 1/2) 2^-23 with k the top 23 bits of a word.
GENFAST_INLINE float uniform_f32(uint32_t word) { return (static_cast<float>(word >> 9) + 0.5f) * 0x1p-23f; }

// out[i] = u(seed, row, first_site + i).
static GENFAST_HD inline void uniforms(uint64_t seed, uint64_t row, uint64_t first_site, int64_t n, double* out) {
  for (int64_t i = 0; i < n;) {
    const uint64_t site = first_site + static_cast<uint64_t>(i);
    const numerics::PhiloxBlock b = uniform_block(seed, row, site / 2, kUniformDomainF64);
    for (uint64_t j = site % 2; j < 2 && i < n; ++j, ++i) out[i] = uniform_f64(b.word[2 * j], b.word[2 * j + 1]);
  }
}
static GENFAST_HD inline void uniforms(uint64_t seed, uint64_t row, uint64_t first_site, int64_t n, float* out) {
  for (int64_t i = 0; i < n;) {
    const uint64_t site = first_site + static_cast<uint64_t>(i);
    const numerics::PhiloxBlock b = uniform_block(seed, row, site / 4, kUniformDomainF32);
    for (uint64_t j = site % 4; j < 4 && i < n; ++j, ++i) out[i] = uniform_f32(b.word[j]);
  }
}

}  // namespace genfast
