// Arrays of categorical draws: rows of logits or probabilities of any float type, filtered or not, one draw a row or many, on the
// thread pool. For the bindings, which have checked shapes and parameters. A row's draws depend on its own data and uniforms alone.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/kernels.h"
#include "sampling/guide_table.h"

namespace genfast {

// A parameter of every row: one value, or (own) one a row.
template <class T>
struct PerRow {
  const T* data;
  bool own;
  T operator[](int64_t row) const { return data[own ? row : 0]; }
};

// rows, columns >= 1, columns < 2^31. Element k of row r is data[r * stride + k].
struct CategoricalRows {
  const void* data;
  LogitType type;
  bool probs;  // non-negative weights (f32 or f64, never filtered or tempered) instead of logits
  int64_t stride, rows, columns;
  PerRow<double> temperature;
  bool filtered;  // whether any of the three below does anything
  PerRow<int64_t> top_k;
  PerRow<double> top_p, min_p;
};

// Where the uniforms of draws [0, draws) of each row come from: u[r * draws + d], or, if u is null, u(seed, row r, site d).
struct RowUniforms {
  const double* u;
  uint64_t seed;
};

// out[d * rows + r] for d < draws; 0 in a row without a distribution (NaN, +inf, all -inf; a negative weight, no weight, an
// infinite total). Returns the first such row, or -1; valid (or null) says for each row whether it is none. `poll` as in
// parallel_for.
int64_t sample_categorical(const CategoricalRows& rows, const RowUniforms& uniforms, int64_t draws, int64_t* out, bool* valid,
                           const std::function<void()>& poll);

// The weights of every category, weights[r * columns + k] = e^(z - largest), 0 where a filter drops it or the logit is too low to
// be drawn; of probabilities, these themselves with largest = 0. totals[r] in the kernels' order of addition, NaN in a row without
// a distribution. If `cumulative`, the sums of cumulative_weights instead of the weights. weights may be null without filters.
void categorical_weights(const CategoricalRows& rows, bool cumulative, double* weights, double* largest, double* totals,
                         const std::function<void()>& poll);

// logits[i] = log(weights[i]), i < n: what makes weights rows that can be tempered and filtered. NaN of a negative one.
void log_weights(const double* weights, int64_t n, double* logits, const std::function<void()>& poll);

// The only row of `rows`, as a table to draw from many times.
class CategoricalTable {
 public:
  explicit CategoricalTable(const CategoricalRows& row);
  bool valid() const { return table_.valid(); }
  const GuideTable& table() const { return table_; }
  const std::vector<int32_t>& index() const { return index_; }
  void find(const double* u, int64_t n, int64_t* out, int64_t stride) const;

 private:
  struct Source;
  explicit CategoricalTable(Source source);
  std::vector<int32_t> index_;  // of the categories in the table; empty when it has all
  GuideTable table_;
};

// out[d] of a table, for uniforms as above with one row.
void sample_categorical(const CategoricalTable& table, const RowUniforms& uniforms, int64_t draws, int64_t* out,
                        const std::function<void()>& poll);

}  // namespace genfast
