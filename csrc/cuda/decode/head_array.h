// Working memory of heads that compute with doubles: each item has as many numbers as it needs, and those of neighbouring items lie
// side by side, so that a warp reads them together. Called by the heads of mixtures and families.
#pragma once
#include <cstdint>

#include "numerics/lane.h"

namespace genfast {
namespace cuda {

// An array of one item, in the sense of numerics/mixtures.h.
struct HeadArray {
  double* data;
  int64_t step;
  GENFAST_HD double operator[](int64_t k) const { return data[k * step]; }
  GENFAST_HD void set(int64_t k, double x) const { data[k * step] = x; }
  // Number k and those behind it.
  GENFAST_HD HeadArray from(int64_t k) const { return {data + k * step, step}; }
};

}  // namespace cuda
}  // namespace genfast
