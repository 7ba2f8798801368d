// Reading and writing one number of an array, and drawing one: what the programs of this room do before and after their formulas.
#pragma once
#include "cuda/sampling/elementwise.h"
#include "numerics/uniforms.h"

namespace genfast {
namespace cuda {

GENFAST_INLINE double uniform_of_site(uint64_t seed, uint64_t row, uint64_t site, double) {
  const numerics::PhiloxBlock b = uniform_block(seed, row, site / 2, kUniformDomainF64);
  return site % 2 ? uniform_f64(b.word[2], b.word[3]) : uniform_f64(b.word[0], b.word[1]);
}
GENFAST_INLINE float uniform_of_site(uint64_t seed, uint64_t row, uint64_t site, float) {
  const numerics::PhiloxBlock b = uniform_block(seed, row, site / 4, kUniformDomainF32);
  const uint32_t low = site & 1 ? b.word[1] : b.word[0], high = site & 1 ? b.word[3] : b.word[2];
  return uniform_f32(site & 2 ? high : low);
}

GENFAST_INLINE double at(const Repeating& p, int64_t i) {
  const int64_t k = p.period > 1 ? i % p.period : 0;
  if (p.x64) return p.x64[k];
  return p.x32 ? static_cast<double>(p.x32[k]) : p.value;
}

template <class F>
GENFAST_INLINE F argument(const Argument& a, int64_t i) {
  if (a.x64) return static_cast<F>(a.x64[i % a.period]);
  if (a.x32) return static_cast<F>(a.x32[i % a.period]);
  return uniform_of_site(a.seed, a.row, a.first_site + static_cast<uint64_t>(i), F());
}

GENFAST_INLINE void store(const RealOut& out, int64_t i, double y) {
  if (out.f64)
    out.f64[i] = y;
  else
    out.f32[i] = numerics::canonical(static_cast<float>(y));  // a device makes its own NaN of one
}

}  // namespace cuda
}  // namespace genfast
