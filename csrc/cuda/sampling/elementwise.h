// out[i] = fn(x[i]; params[..][i]) for every family of base/families.h, one element an item; the uniforms that samples are made of,
// and logarithms of weights. Called by the entry points below with arrays that the bindings have checked. A probability outside [0,
// 1], or NaN, gives NaN, and so do parameters that make no distribution: nobody could be told of it without waiting for the device.
#pragma once
#include <cstdint>

#include "base/families.h"
#include "cuda/sampling/place.h"

namespace genfast {
namespace cuda {

// An array that is read again and again, element i being x64[i % period] or x32[i % period]; or, if both are null, one value.
struct Repeating {
  const double* x64;
  const float* x32;
  int64_t period;
  double value;
};

// Where numbers come from: x64 or x32, repeating; if both are null, element i is u(seed, row, first_site + i).
struct Argument {
  const double* x64;
  const float* x32;
  int64_t period;
  uint64_t seed, row, first_site;
};
// Where they go: one of the two.
struct RealOut {
  double* f64;
  float* f32;
};

struct ElementwiseArgs {
  Family family;
  FamilyFn fn;
  int64_t n;
  Argument x;
  Repeating params[kMaxFamilyParams];
  bool unchecked;  // parameters that nobody has looked at
  RealOut out;     // float results are the double ones rounded, except where the family has float formulas and reads floats
};

void evaluate(const Place& place, const ElementwiseArgs& args);

// out[r * sites + s] = u(seed, first_row + r, first_site + s).
struct UniformArgs {
  uint64_t seed, first_row, first_site;
  int64_t rows, sites;
  RealOut out;
};
void fill_uniforms(const Place& place, const UniformArgs& args);

// logits[i] = log(weights[i]), one a weight: -inf of 0, NaN of what is less.
struct LogWeightArgs {
  Repeating weights;
  int64_t n;
  double* logits;
};
void log_weights(const Place& place, const LogWeightArgs& args);

// The forms of these programs that g++ and nvcc compile, each group of families by itself; false for a family of another group.
#define GENFAST_FORMS(group)                                                 \
  bool interpret_##group(const Place& place, const ElementwiseArgs& args); \
  bool launch_##group(const Place& place, const ElementwiseArgs& args);
GENFAST_FORMS(closed_form)
GENFAST_FORMS(gamma)
GENFAST_FORMS(beta)
GENFAST_FORMS(discrete)
GENFAST_FORMS(circular)
#undef GENFAST_FORMS
void interpret_uniforms(const Place& place, const UniformArgs& args);
void launch_uniforms(const Place& place, const UniformArgs& args);
void interpret_log_weights(const Place& place, const LogWeightArgs& args);
void launch_log_weights(const Place& place, const LogWeightArgs& args);

}  // namespace cuda
}  // namespace genfast
