// One discrete distribution, drawn from many times: the cumulative sums of its weights and a guide into them. For rows.cc and the
// bindings; it gives the very categories that the row kernels give, knows no logits and generates no uniforms.
// Method: Chen & Asau, "On generating random variates from an empirical distribution" (AIIE Transactions 6, 1974); Devroye,
// Non-Uniform Random Variate Generation (1986), III.2.4.
#pragma once
#include <cstdint>

#include "base/aligned.h"

namespace genfast {

// out[k] is the largest u * total for which the row kernels choose a category <= k: the sum of weights[0 … k] in their order of
// addition. weights are not negative. Returns the total.
double cumulative_weights(const double* weights, int64_t n, double* out);

class GuideTable {
 public:
  // weights: n of them (1 <= n < 2^31), not negative. A total that is 0 or not finite makes a table that is not valid().
  GuideTable(const double* weights, int64_t n);

  bool valid() const { return valid_; }
  int64_t size() const { return static_cast<int64_t>(cumulative_.size()); }
  double total() const { return total_; }
  const double* cumulative() const { return cumulative_.data(); }
  const AlignedBuffer<int32_t>& guide() const { return guide_; }
  // out[i * stride] = smallest k of positive weight with F(k) >= u[i], for u in [0, 1]. Only for a valid table.
  void find(const double* u, int64_t n, int64_t* out, int64_t stride) const;

 private:
  AlignedBuffer<double> cumulative_;
  AlignedBuffer<int32_t> guide_;  // guide[j] = the answer for u = j / guide size, a power of two
  double total_;
  bool valid_;
};

}  // namespace genfast
