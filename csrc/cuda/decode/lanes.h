// Sums and maxima over the lanes that every target agrees on: sixteen floats, eight doubles, folded 8, 4, 2, 1. Called by the
// phases that reduce rows; the lanes themselves are spread over threads by those.
#pragma once
#include <cstdint>

#include "numerics/lane.h"

namespace genfast {
namespace cuda {

constexpr int64_t kLanes = 16;

GENFAST_HD inline float fold_sum(const float* lanes) {
  float a[kLanes];
  for (int i = 0; i < kLanes; ++i) a[i] = lanes[i];
  for (int step = 8; step; step /= 2)
    for (int i = 0; i < step; ++i) a[i] = a[i] + a[i + step];
  return a[0];
}
GENFAST_HD inline float fold_max(const float* lanes) {
  float a[kLanes];
  for (int i = 0; i < kLanes; ++i) a[i] = lanes[i];
  for (int step = 8; step; step /= 2)
    for (int i = 0; i < step; ++i) a[i] = numerics::max(a[i], a[i + step]);
  return a[0];
}
// Of sixteen floats as doubles: lanes i and i + 8 first.
GENFAST_HD inline double fold_sum_f64(const float* w) {
  double a[8];
  for (int i = 0; i < 8; ++i) a[i] = static_cast<double>(w[i]) + static_cast<double>(w[i + 8]);
  for (int step = 4; step; step /= 2)
    for (int i = 0; i < step; ++i) a[i] = a[i] + a[i + step];
  return a[0];
}

}  // namespace cuda
}  // namespace genfast
