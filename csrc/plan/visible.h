// Visible: the keys that a position of an attend node sees, as ranges, and trees over the keys that take a range at once: planning
// attention over n keys costs n log n, not n². Used by readiness, schedule and memory.
#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace genfast {

// Calls f(begin, end) for every maximal range of keys that position p sees, in rising order.
template <class F>
void for_each_visible(const Graph& graph, const Attention& a, int64_t p, F&& f) {
  if (a.bitmap == kDirect) {
    const int64_t begin = graph.tables[a.begin][p], end = graph.tables[a.end][p];
    if (begin < end) f(begin, end);
    return;
  }
  const int32_t* words = graph.tables[a.bitmap].data() + p * a.words();
  int64_t begin = 0, end = 0;  // the range found so far
  for (int64_t w = 0; w < a.words(); ++w) {
    auto bits = static_cast<uint32_t>(words[w]);
    int64_t at = w * 32;
    while (bits) {
      const int skip = __builtin_ctz(bits);
      bits >>= skip;
      at += skip;
      const int run = ~bits ? __builtin_ctz(~bits) : 32;
      if (at != end) {
        if (begin < end) f(begin, end);
        begin = at;
      }
      at += run;
      end = at;
      bits = run < 32 ? bits >> run : 0;
    }
  }
  if (begin < end) f(begin, end);
}

// A maximum over any range of numbers that grow one by one. All start at 0 and none is negative.
class RangeMax {
 public:
  explicit RangeMax(int64_t size = 0) : size_(size), tree_(static_cast<size_t>(2 * size), 0) {}
  explicit RangeMax(const std::vector<int32_t>& numbers) : RangeMax(static_cast<int64_t>(numbers.size())) {
    for (int64_t i = 0; i < size_; ++i) tree_[size_ + i] = numbers[i];
    for (int64_t i = size_ - 1; i > 0; --i) tree_[i] = std::max(tree_[2 * i], tree_[2 * i + 1]);
  }

  void raise(int64_t i, int32_t to) {
    for (i += size_; i > 0 && tree_[i] < to; i /= 2) tree_[i] = to;
  }

  int32_t max(int64_t begin, int64_t end) const {
    int32_t found = 0;
    for (begin += size_, end += size_; begin < end; begin /= 2, end /= 2) {
      if (begin & 1) found = std::max(found, tree_[begin++]);
      if (end & 1) found = std::max(found, tree_[--end]);
    }
    return found;
  }

 private:
  int64_t size_;
  std::vector<int32_t> tree_;
};

// Numbers that are lowered (Lower) or raised a range at a time, and read in the end.
template <bool Lower>
class RangeUpdate {
 public:
  RangeUpdate(int64_t size, int32_t start) : size_(size), tree_(static_cast<size_t>(2 * size), start) {}

  void update(int64_t begin, int64_t end, int32_t to) {
    for (begin += size_, end += size_; begin < end; begin /= 2, end /= 2) {
      if (begin & 1) apply(begin++, to);
      if (end & 1) apply(--end, to);
    }
  }

  // Ends the use of the tree.
  std::vector<int32_t> numbers() && {
    for (int64_t i = 1; i < size_; ++i) {
      apply(2 * i, tree_[i]);
      apply(2 * i + 1, tree_[i]);
    }
    tree_.erase(tree_.begin(), tree_.begin() + size_);
    return std::move(tree_);
  }

 private:
  void apply(int64_t i, int32_t to) { tree_[i] = Lower ? std::min(tree_[i], to) : std::max(tree_[i], to); }

  int64_t size_;
  std::vector<int32_t> tree_;
};

}  // namespace genfast
