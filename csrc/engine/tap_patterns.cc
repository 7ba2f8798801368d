#include "engine/tap_patterns.h"

#include <algorithm>
#include <map>
#include <utility>

namespace genfast {
namespace {

using Pattern = std::vector<bool>;  // [tap]

struct Part {
  Pattern pattern;
  std::vector<int32_t> positions;
  int64_t cost = 0;
};

// In multiply-adds. Below kWorthwhile of them saved, sorting costs more than it gains.
constexpr int64_t kPerCall = 8192, kWorthwhile = int64_t{1} << 17;
// Fetching weights costs about as much as one more row, in every block of rows.
constexpr int64_t kRowsAFetch = 48;
// Merging looks at all pairs.
constexpr size_t kMostPatterns = 128;

int64_t work(const Pattern& pattern, const std::vector<int64_t>& tap_work) {
  int64_t sum = 0;
  for (size_t t = 0; t < pattern.size(); ++t)
    if (pattern[t]) sum += tap_work[t];
  return sum;
}

int64_t cost(const Pattern& pattern, size_t positions, const std::vector<int64_t>& tap_work, int64_t rows) {
  const int64_t m = static_cast<int64_t>(positions) * rows;
  return work(pattern, tap_work) * (m + (m + kRowsAFetch - 1) / kRowsAFetch) + kPerCall;
}

Pattern both(const Pattern& a, const Pattern& b) {
  Pattern either = a;
  for (size_t t = 0; t < either.size(); ++t)
    if (b[t]) either[t] = true;
  return either;
}

std::vector<Part> sort_by_pattern(const std::vector<int32_t>& positions, size_t taps,
                                  const std::function<bool(size_t, int32_t)>& reads) {
  std::map<Pattern, size_t> index;
  std::vector<Part> parts;
  Pattern pattern(taps);
  for (int32_t p : positions) {
    for (size_t t = 0; t < taps; ++t) pattern[t] = reads(t, p);
    const auto [found, fresh] = index.emplace(pattern, parts.size());
    if (fresh) parts.push_back({pattern, {}, 0});
    parts[found->second].positions.push_back(p);
  }
  return parts;
}

// Merges the pair that gains most, again and again, until none gains.
void merge(std::vector<Part>& parts, const std::vector<int64_t>& tap_work, int64_t rows) {
  for (;;) {
    int64_t best = 0;
    size_t first = 0, second = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      for (size_t j = i + 1; j < parts.size(); ++j) {
        const size_t count = parts[i].positions.size() + parts[j].positions.size();
        const int64_t gain = parts[i].cost + parts[j].cost - cost(both(parts[i].pattern, parts[j].pattern), count, tap_work, rows);
        if (gain > best) best = gain, first = i, second = j;
      }
    }
    if (best == 0) return;
    Part& into = parts[first];
    const Part& from = parts[second];
    into.pattern = both(into.pattern, from.pattern);
    into.positions.insert(into.positions.end(), from.positions.begin(), from.positions.end());
    into.cost = cost(into.pattern, into.positions.size(), tap_work, rows);
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(second));
  }
}

}  // namespace

std::vector<std::vector<int32_t>> split_by_taps(const std::vector<int32_t>& positions, const std::vector<int64_t>& tap_work,
                                                int64_t rows, const std::function<bool(size_t, int32_t)>& reads) {
  std::vector<Part> parts = sort_by_pattern(positions, tap_work.size(), reads);
  Pattern all(tap_work.size());
  int64_t used = 0;
  for (const Part& part : parts) {
    all = both(all, part.pattern);
    used += work(part.pattern, tap_work) * static_cast<int64_t>(part.positions.size());
  }
  const int64_t wasted = work(all, tap_work) * static_cast<int64_t>(positions.size()) - used;
  if (parts.size() > kMostPatterns || wasted * rows < kWorthwhile) return {positions};
  for (Part& part : parts) part.cost = cost(part.pattern, part.positions.size(), tap_work, rows);
  merge(parts, tap_work, rows);
  std::vector<std::vector<int32_t>> split;
  for (Part& part : parts) {
    std::sort(part.positions.begin(), part.positions.end());
    split.push_back(std::move(part.positions));
  }
  return split;
}

}  // namespace genfast
