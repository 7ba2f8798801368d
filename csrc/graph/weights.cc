#include "graph/weights.h"

#include <algorithm>
#include <string>

#include "base/errors.h"

namespace genfast {
namespace {

constexpr int64_t kFloatsPerLine = 16;  // every tensor is a multiple of 64 bytes
constexpr int64_t kPackedBlock = 64;

constexpr int64_t padded(int64_t n) { return (n + kFloatsPerLine - 1) / kFloatsPerLine * kFloatsPerLine; }

void expect_zero(const float* begin, const float* end, int index, const char* field) {
  if (std::any_of(begin, end, [](float x) { return x != 0; }))
    throw FormatError(std::string(field) + ": the padding of weights." + std::to_string(index) + " is not zero");
}

}  // namespace

const Weights& WeightsChecker::at(int index, int64_t size, const char* field) const {
  if (index < 0 || index >= static_cast<int64_t>(weights_.size()))
    throw FormatError(std::string(field) + ": there is no weights." + std::to_string(index));
  const Weights& weights = weights_[index];
  if (weights.size != size)
    throw FormatError(std::string(field) + ": weights." + std::to_string(index) + " has " + std::to_string(weights.size) +
                      " floats, must have " + std::to_string(size));
  return weights;
}

void WeightsChecker::check(int index, int64_t size, const char* field) const {
  const Weights& weights = at(index, padded(size), field);
  expect_zero(weights.data + size, weights.data + weights.size, index, field);
}

void WeightsChecker::check_packed(int index, int64_t rows, int64_t columns, const char* field) {
  const Weights& weights = at(index, rows * padded(columns), field);
  const int64_t full = columns / kPackedBlock * kPackedBlock, rest = columns - full, width = padded(rest);
  if (rest == width || !packed_.emplace(index, columns).second) return;
  const float* row = weights.data + full * rows;
  for (int64_t k = 0; k < rows; ++k, row += width) expect_zero(row + rest, row + width, index, field);
}

}  // namespace genfast
