// out[i] = fn(x[i]; params[..][i]) for every family of base/families.h, one element an item, and the uniforms that samples are made
// of. Called by the entry points below with arrays that the bindings have checked. A probability outside [0, 1], or NaN, gives NaN:
// nobody could be told of it without waiting for the device.
#pragma once
#include <cstdint>

#include "base/families.h"
#include "cuda/sampling/place.h"

namespace genfast {
namespace cuda {

// An array that is read again and again, element i being data[i % period]; or, if data is null, one value.
struct Repeating {
  const double* data;
  int64_t period;
  double value;
};

struct ElementwiseArgs {
  Family family;
  FamilyFn fn;
  int64_t n;
  // The argument: x64 or x32, repeating; if both are null, u(seed, row, first_site + i).
  const double* x64;
  const float* x32;
  int64_t period;
  uint64_t seed, row, first_site;
  Repeating params[kMaxFamilyParams];
  // One of them. A float result is the double one rounded, except where the family has float formulas and reads floats.
  double* out64;
  float* out32;
};

void evaluate(const Place& place, const ElementwiseArgs& args);

// out[r * sites + s] = u(seed, first_row + r, first_site + s), in out64 or out32.
struct UniformArgs {
  uint64_t seed, first_row, first_site;
  int64_t rows, sites;
  double* out64;
  float* out32;
};
void fill_uniforms(const Place& place, const UniformArgs& args);

// The groups of families, each compiled by itself; false for a family of another group.
bool evaluate_closed_form(const Place& place, const ElementwiseArgs& args);
bool evaluate_gamma(const Place& place, const ElementwiseArgs& args);
bool evaluate_beta(const Place& place, const ElementwiseArgs& args);
bool evaluate_discrete(const Place& place, const ElementwiseArgs& args);
bool evaluate_circular(const Place& place, const ElementwiseArgs& args);

}  // namespace cuda
}  // namespace genfast
