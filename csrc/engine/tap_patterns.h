// Tap patterns: the positions of a group sorted by which taps of its products lie inside their sources. A stride-2 transposed
// convolution uses a quarter of its taps at any position, a border fewer than the inside; bound apart, positions that share a
// pattern need no products with zeros. Called by cpu_binding.cc; it decides how fast a group runs and never what it computes.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

namespace genfast {

// Parts of `positions`, each rising, that cost least when every part computes all taps which any of its positions reads.
// tap_work[t]: multiply-adds of tap t for one row at one position; rows: of a full tile; reads(t, p): tap t lies inside at p.
std::vector<std::vector<int32_t>> split_by_taps(const std::vector<int32_t>& positions, const std::vector<int64_t>& tap_work,
                                                int64_t rows, const std::function<bool(size_t tap, int32_t position)>& reads);

}  // namespace genfast
