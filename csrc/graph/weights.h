// Checks that a weights tensor is exactly as long as what uses it says, its padding zero included, and that a gemm's is packed as
// docs/format.md lays it out. Used by validate.cc only.
#pragma once
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace genfast {

class WeightsChecker {
 public:
  explicit WeightsChecker(const std::vector<Weights>& weights) : weights_(weights) {}

  // `size` floats, then zeros up to a multiple of 64 bytes. Throws FormatError naming `field`.
  void check(int index, int64_t size, const char* field) const;
  // The same for data that may be BF16 or I8.
  void check_data(int index, int64_t size, const char* field) const;
  // rows × columns packed in blocks of 64 columns, of any type.
  void check_packed(int index, int64_t rows, int64_t columns, const char* field);

 private:
  const Weights& at(int index, const char* field) const;

  const std::vector<Weights>& weights_;
  std::set<std::pair<int, int64_t>> packed_;  // (index, columns) already seen: many nodes may share one array
};

}  // namespace genfast
