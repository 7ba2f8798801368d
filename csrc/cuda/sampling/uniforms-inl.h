// Arrays of uniforms, a number an item. Included by its two forms.
#pragma once
#include "cuda/sampling/argument.h"

namespace genfast {
namespace cuda {

struct UniformProgram {
  static constexpr const char* name = "uniforms";
  template <class Executor>
  static GENFAST_HD void run(Executor& executor, const UniformArgs& a) {
    executor.each(a.rows * a.sites, [&](int64_t i) {
      const uint64_t row = a.first_row + static_cast<uint64_t>(i / a.sites),
                     site = a.first_site + static_cast<uint64_t>(i % a.sites);
      if (a.out.f64)
        a.out.f64[i] = uniform_of_site(a.seed, row, site, double());
      else
        a.out.f32[i] = uniform_of_site(a.seed, row, site, float());
    });
  }
};

}  // namespace cuda
}  // namespace genfast
