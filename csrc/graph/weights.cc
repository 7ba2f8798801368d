#include "graph/weights.h"

#include <algorithm>
#include <string>

#include "base/errors.h"
#include "graph/limits.h"

namespace genfast {
namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kPackedBlock = 64;

constexpr int64_t padded(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

void expect_zero(const Weights& weights, int64_t begin, int64_t end, int index, const char* field) {
  const bool zero = visit_weights(weights.bytes, weights.type, [&](const auto* data) {
    return std::all_of(data + begin, data + end, [](float x) { return x == 0; });
  });
  if (!zero) throw FormatError(std::string(field) + ": the padding of weights." + std::to_string(index) + " is not zero");
}

}  // namespace

const Weights& WeightsChecker::at(int index, const char* field) const {
  if (index < 0 || index >= static_cast<int64_t>(weights_.size()))
    throw FormatError(std::string(field) + ": there is no weights." + std::to_string(index));
  return weights_[index];
}

void WeightsChecker::check_data(int index, int64_t size, const char* field) const {
  const Weights& weights = at(index, field);
  const int64_t wanted = padded(size, kFileAlignment / info(weights.type).bytes);
  if (weights.size != wanted)
    throw FormatError(std::string(field) + ": weights." + std::to_string(index) + " has " + std::to_string(weights.size) + " " +
                      (weights.type == WeightType::f32 ? "floats" : info(weights.type).dtype) + ", must have " +
                      std::to_string(wanted));
  expect_zero(weights, size, weights.size, index, field);
}

void WeightsChecker::check(int index, int64_t size, const char* field) const {
  if (const Weights& weights = at(index, field); weights.type != WeightType::f32)
    throw FormatError(std::string(field) + ": weights." + std::to_string(index) + " must be F32, is " + info(weights.type).dtype);
  check_data(index, size, field);
}

void WeightsChecker::check_packed(int index, int64_t rows, int64_t columns, const char* field) {
  check_data(index, rows * padded(columns, kLanes), field);
  const int64_t full = columns / kPackedBlock * kPackedBlock, rest = columns - full, width = padded(rest, kLanes);
  if (rest == width || !packed_.emplace(index, columns).second) return;
  for (int64_t k = 0, row = full * rows; k < rows; ++k, row += width)
    expect_zero(weights_[index], row + rest, row + width, index, field);
}

}  // namespace genfast
