// Whether numbers that came from outside, or go there, are numbers. For those who name the first that is none in an error.
#pragma once
#include <algorithm>
#include <cstdint>

namespace genfast {

// The index of the first infinity or NaN, or -1.
inline int64_t first_not_finite(const float* x, int64_t n) {
  constexpr int64_t block = 1024;
  for (int64_t begin = 0; begin < n; begin += block) {
    const int64_t end = std::min(begin + block, n);
    int32_t found = 0;
    for (int64_t i = begin; i < end; ++i) found |= x[i] - x[i] == 0 ? 0 : 1;  // without a branch, so that it goes by lanes
    if (!found) continue;
    for (int64_t i = begin; i < end; ++i)
      if (!(x[i] - x[i] == 0)) return i;
  }
  return -1;
}

}  // namespace genfast
