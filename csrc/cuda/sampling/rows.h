// Categorical draws from rows of logits or weights: for each row its largest logit, the weights e^(z - largest) in blocks of 16,
// their sums and running sums in a fixed order, then a search a draw. The bits are those of kernels/logits-inl.h (and, for weights,
// of sampling/guide_table.h). Called with arrays that the bindings have checked. A u that is no probability gives -1.
#pragma once
#include <cstdint>

#include "cuda/sampling/elementwise.h"

namespace genfast {
namespace cuda {

// The first four are LogitType's of kernels/kernels.h; the others are weights that are not negative, drawn from as they are.
enum class RowKind : int { f32, f64, bf16, f16, weights_f32, weights_f64, count };
constexpr int64_t element_size(RowKind kind) {
  return kind == RowKind::f64 || kind == RowKind::weights_f64 ? 8 : kind == RowKind::bf16 || kind == RowKind::f16 ? 2 : 4;
}

// A parameter of every row: data[r] or, if data is null, one value.
template <class T>
struct OfRow {
  const T* data;
  T value;
};

struct RowArgs {
  // Element k of row r is data[r * stride + k]. rows, columns, draws >= 1.
  const void* data;
  RowKind kind;
  int64_t stride, rows, columns;
  OfRow<double> temperature;  // logits are divided by it, in their precision
  // Off: top_k >= columns, top_p = 1, min_p = 0; the rule is kernels/filters.h's.
  bool filtered;
  OfRow<int64_t> top_k;
  OfRow<double> top_p, min_p;

  // Draw d of row r has u64 or u32 [r * u_row + d * u_draw], or, if both are null, u(seed, r, d).
  const double* u64;
  const float* u32;
  int64_t u_row, u_draw;
  uint64_t seed;
  int64_t draws;

  int64_t* level;  // [d * rows + r]
  int64_t bad;     // the level of a row without a distribution
  uint8_t* good;   // [r]: whether the row has a distribution; or null

  // Of filtered rows: lists of what is kept, for filtered_slots() rows at a time; filtered_bytes() of them, 16-byte aligned.
  void* workspace;
  int64_t slots;
  bool distrust;  // whether nothing is settled by sums in another order than the CPU's: for tests
};

int64_t filtered_slots(const Place& place, int64_t rows);
int64_t filtered_bytes(RowKind kind, int64_t columns, int64_t slots);

void sample_rows(const Place& place, const RowArgs& args);

// What a block of threads would have of shared memory where it may have shared_bytes: for tests.
int64_t row_shared_bytes(RowKind kind, bool filtered, int64_t rows, int64_t columns, int64_t draws, int64_t shared_bytes);

void interpret_rows(const Place& place, const RowArgs& args);
void launch_rows(const Place& place, const RowArgs& args);
int64_t device_slots(const Place& place);
void interpret_filtered_rows(const Place& place, const RowArgs& args);
void launch_filtered_rows(const Place& place, const RowArgs& args);

}  // namespace cuda
}  // namespace genfast
