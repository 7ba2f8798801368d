// Arrays of any size through the elementwise kernels: blocks that fit the L1 cache, threads, repeated operands and conversion
// between float and double. Called by the bindings; draws its own uniforms where asked to. It checks probabilities and nothing
// else: parameters are the caller's business.
#pragma once
#include <cstdint>
#include <functional>

#include "base/families.h"

namespace genfast {

// An array that is read again and again: element i of the result uses data[i % period]. period >= 1.
struct Repeated {
  const double* data;
  int64_t period;
};

// float or double, out or in: exactly one pointer is set.
struct Reals {
  const double* f64;
  const float* f32;
  int64_t period;
};
struct RealsOut {
  double* f64;
  float* f32;
};

// Whether icdf, iccdf and samples in float have a kernel of their own. It takes the parameters rounded to float.
bool has_float_kernel(Family family);

// out[i] = fn(x[i]; params[..][i]), i < n. float results are the double ones rounded, except for icdf and iccdf of float x
// where the family has a float kernel. Returns the first i whose probability is outside [0, 1], or -1.
int64_t evaluate(Family family, FamilyFn fn, const Reals& x, const Repeated* params, int64_t n, const RealsOut& out,
                 const std::function<void()>& poll = {});

// out[i] = icdf(u(seed, row, first_site + i); params[..][i]): the same bits as evaluate() of those uniforms. float results use
// the uniforms of double, except where the family has a float kernel, which reads those of float.
void sample(Family family, uint64_t seed, uint64_t row, uint64_t first_site, const Repeated* params, int64_t n, const RealsOut& out,
            const std::function<void()>& poll = {});

}  // namespace genfast
