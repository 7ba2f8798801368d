// Kernels: a plain table of function pointers, one per CPU target, for the engine and the samplers. A kernel is a loop nest
// over arrays that the caller has already checked and placed; it allocates nothing, throws nothing and knows no graph or plan.
// All targets give the same bits.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/families.h"
#include "base/gemm_packing.h"
#include "base/ops.h"
#include "base/weight_type.h"
#include "numerics/inverse_table_view.h"

namespace genfast {

// out[m][n] = epilogue(bias[n] + scales[n] * sum over segments s, j of source(s, m)[j] * W[weight_row(s) + j][n])
//   source(s, m) = sources[s * groups + m / group_rows] + (m % group_rows) * source_stride[s]
//   out row m    = out[m / group_rows] + (m % group_rows) * out_stride
// A group is one position of the plan; its rows are the samples of the row-tile. Segments never straddle a chunk boundary
// (the caller splits them). A source pointer that stands for "outside" has source_stride honoured too, so callers point it at zeros
// of the length of a whole group.
struct GemmArgs {
  const GemmSegment* segments;
  int64_t n_segments;
  const float* const* sources;   // [n_segments][groups]
  const int64_t* source_stride;  // [n_segments], floats between rows
  float* const* out;             // [groups]
  int64_t out_stride;
  int64_t groups, group_rows;
  int64_t m_begin, m_end;  // rows m of groups * group_rows to compute
  const void* weights;     // of weight_type; packed: blocks of 64 columns, the last of a multiple of 16: [block][k_rows][width]
  int64_t k_rows;          // rows of a packed block
  int64_t columns;         // N, before padding
  const float* bias;       // padded like the packed columns, or null for +0
  // Epilogue, after the bias: out += residual (or null; placed like out, and may be out itself), then, if relu,
  // out = max(out, +0) with max(a, b) = a > b ? a : b.
  const float* const* residual;  // [groups]
  int64_t residual_stride;
  bool relu;
  WeightType weight_type = WeightType::f32;
  const float* scales = nullptr;  // of i8 weights, padded like the packed columns
  // Beside out, where what follows reads both: max(out, +0), placed like out, in memory that nothing else of the call uses.
  float* const* relu_out = nullptr;  // [groups], or null
  int64_t relu_out_stride = 0;
};

// A table to look up rows in: [rows][columns] of a type, each row of i8 times its scale.
struct LookupTable {
  const void* data;
  int64_t rows;
  WeightType type = WeightType::f32;
  const float* scales = nullptr;
};

// An operand of a pointwise kernel: element (r, c) is data[r * stride + (broadcast ? 0 : c)].
struct MapOperand {
  const float* data;
  int64_t stride;
  bool broadcast;
};

// Attention of one position (docs/format.md "Attend"): for every row, out[h * dim_v + e] of each head h over the keys it sees.
//   q of head h, row r:        q + r * q_stride + h * q_step
//   key (value) j of head h:   k[j] + (first_row + r) * k_stride + (h / (heads / kv_heads)) * k_step, likewise v
// The keys seen are visible[0 … count), rising, or first, first + 1, … when that is null; no other pointer of k and v is looked at.
// out overlaps nothing that is read.
struct AttendArgs {
  float* out;  // row 0
  int64_t out_stride;
  const float* q;
  int64_t q_stride, q_step;
  const float* const* k;
  int64_t k_stride, k_step;
  const float* const* v;
  int64_t v_stride, v_step;
  const int32_t* visible;
  int64_t first, count;
  int64_t heads, kv_heads, dim, dim_v;
  float scale;
  const float* bias;  // of key j, head h: bias[h * bias_step + j]; or null
  int64_t bias_step;
  float* scores;        // scratch
  int64_t scores_size;  // floats of it: at least attend_scores(count); heads go together as far as it reaches
  int64_t first_row, rows;
};
// Floats of scratch for one head.
constexpr int64_t attend_scores(int64_t count) { return (count + 15) / 16 * 16 + 1; }

// The same for several positions that see keys first, first + 1, … each: position i the first counts[i] of them, 1 to count.
struct AttendManyArgs {
  int64_t positions;
  float* const* out;      // [positions] row 0
  const float* const* q;  // [positions] row 0
  const int64_t* counts;
  const float* const* bias;  // [positions] as in AttendArgs; or null
  int64_t out_stride, q_stride, q_step;
  const float* const* k;
  int64_t k_stride, k_step;
  const float* const* v;
  int64_t v_stride, v_step;
  int64_t first, count;
  int64_t heads, kv_heads, dim, dim_v;
  float scale;
  int64_t bias_step;
  float* panel;   // scratch: dim floats for each of count rounded up to 16
  float* values;  // scratch: dim_v floats for each of count
  float* scores;  // scratch: four times count rounded up to 16
  int64_t first_row, rows;
};

using AttendFn = void (*)(const AttendArgs&);
using AttendManyFn = void (*)(const AttendManyArgs&);
using GemmFn = void (*)(const GemmArgs&);
// out[r * out_stride + c], r < rows, c < columns. out may alias an operand exactly (same pointer and stride), not partially.
using MapFn = void (*)(float* out, int64_t out_stride, const MapOperand* args, const float* params, int64_t rows, int64_t columns);
// One position's rows: in[r * in_stride + c], c < columns; weight and bias may be null; reducing ops write one float a row.
using RowFn = void (*)(float* out, int64_t out_stride, const float* in, int64_t in_stride, const float* params, const float* weight,
                       const float* bias, int64_t rows, int64_t columns);
// Row r of out becomes table[int(index[r * index_stride])]; returns the first row whose index is not an integer inside [0,
// table.rows), or -1.
using LookupFn = int64_t (*)(float* out, int64_t out_stride, const float* index, int64_t index_stride, const LookupTable& table,
                             int64_t rows, int64_t columns);
// Inverse CDF of rows of logits: level[r] = smallest k with p_k > 0 and F(k) >= u[r], or -1 in a bad row (NaN, +inf or all
// -inf). logits are divided by temperature first. Returns the first bad row, or -1. rows, columns >= 1.
using CategoricalFn = int64_t (*)(int32_t* level, const float* logits, int64_t logits_stride, const double* u, float temperature,
                                  int64_t rows, int64_t columns);
// log_prob[r] += log p(level[r]) in nats, NaN in a bad row. Same arithmetic and same return value as CategoricalFn.
using CategoricalLogProbFn = int64_t (*)(double* log_prob, const float* logits, int64_t logits_stride, const int32_t* level,
                                         float temperature, int64_t rows, int64_t columns);
// The levels' intervals of u: lower[r] = F(level[r] - 1) and upper[r] = F(level[r]), arranged so that CategoricalFn draws level[r]
// for exactly the u in (lower[r], upper[r]] (and for u = 0 too where lower[r] is 0 and upper[r] is not); equal where the level is
// never drawn; NaN in a bad row. Same return value.
using CategoricalIntervalFn = int64_t (*)(double* lower, double* upper, const float* logits, int64_t logits_stride,
                                          const int32_t* level, float temperature, int64_t rows, int64_t columns);
// out[r * stride + i] = u(seed, first_row + r, first_site + i) of numerics/uniforms.h for r < rows, i < sites.
template <class T>
using UniformsFn = void (*)(T* out, int64_t stride, uint64_t seed, uint64_t first_row, int64_t rows, uint64_t first_site,
                            int64_t sites);

// Rows of logits of any kind for the samplers. Element k of row r is logits[r * stride + k]; each is divided by its row's
// temperature, or by the one there is. rows, columns >= 1, columns < 2^31. Exponentials of f64 logits are f64, of others f32.
enum class LogitType : int { f32, f64, bf16, f16, count };
struct LogitRows {
  const void* logits;
  int64_t stride, rows, columns;
  const double* temperature;
  bool own_temperature;
};
struct RowKernels {
  // level[r * draws + d] for u[r * draws + d] by the rule of CategoricalFn, -1 in a bad row; the results of CategoricalFn where
  // both apply. largest and total (or null) get each row's largest z and sum of weights e^(z - largest), NaN in a bad row.
  using SampleFn = void (*)(const LogitRows& rows, const double* u, int64_t draws, int32_t* level, double* largest, double* total);
  // z = logit / temperature of one row: floats, or doubles from f64 logits.
  using TemperFn = void (*)(void* z, const void* logits, int64_t n, double temperature);
  SampleFn sample[static_cast<int>(LogitType::count)];
  TemperFn temper[static_cast<int>(LogitType::count)];
  // e^(z - largest), for z <= largest.
  void (*weights_f32)(double* weights, const float* z, int64_t n, double largest);
  void (*weights_f64)(double* weights, const double* z, int64_t n, double largest);
};

// out[i] = F^-1(u[i]), or F^-1(1 - u[i]) if complement, of a row of the table. Returns the first i with u[i] outside [0, 1] or NaN,
// or -1. out may be u.
using InverseTableFn = int64_t (*)(const InverseTableView& table, int64_t row, bool complement, const double* u, double* out,
                                   int64_t n);
// out[i] = fn(x[i]; params[0][i], params[1][i], …), i < n; a broadcast parameter is params[j][0] throughout. out may be x itself.
template <class T>
struct ElementArgsOf {
  T* out;
  const T* x;
  const T* params[kMaxFamilyParams];
  bool broadcast[kMaxFamilyParams];
  int64_t n;
};
using ElementArgs = ElementArgsOf<double>;
// Parameters are valid and probabilities in [0, 1]: the caller checked. Any other x, NaN and infinities included, is defined.
using ElementFn = void (*)(const ElementArgs&);
using ElementF32Fn = void (*)(const ElementArgsOf<float>&);

struct FamilyKernels {
  ElementFn f64[static_cast<int>(FamilyFn::count)];
  ElementF32Fn f32[2];  // icdf and iccdf of float probabilities, or null where float goes through double
  ElementFn operator[](FamilyFn fn) const { return f64[static_cast<int>(fn)]; }
};

// Heads of mixtures and of families. Elements have a row of outputs each, rows[i]; every result is in double.
inline constexpr int64_t kMostComponents = 256;
// Level k stands for x_k = low + k * step. A row holds the logits of the components, then for each channel their means, log-scales
// and, if coupled (three channels), coefficients: docs/format.md, "Heads". Arrays are [channel][n].
struct LogisticMixtureArgs {
  const float* const* rows;
  int64_t n, channels, components;
  bool coupled;
  double low, step;
  int64_t levels;
  const double* u;                   // null when every level is given
  const uint8_t* given;              // 1 where the level is given although u is there; null for none
  int32_t* level;                    // drawn, or given
  double *log_prob, *lower, *upper;  // of the levels; log_prob may be null, and the other two together
};
struct HeadKernels {
  // out[i] = scale * link(rows[i][channel]) + shift.
  using LinkFn = void (*)(double* out, const float* const* rows, int64_t channel, int64_t n, double scale, double shift);
  LinkFn link[6];  // identity, exp, softplus, sigmoid, tanh, square
  // Softmax and log-softmax of the logits from `channel` on, each [component][n]. The first bad element (NaN, +inf, all -inf), or
  // -1.
  int64_t (*mixture_weights)(double* weights, double* log_weights, const float* const* rows, int64_t channel, int64_t components,
                             int64_t n);
  // out[i] = log of the sum over components of e^terms[component * n + i].
  void (*log_sum_exp)(double* out, const double* terms, int64_t components, int64_t n);
  // The first bad element (a logit NaN or +inf, or all -inf; anything else not finite), or -1. Levels are drawn all the same.
  int64_t (*logistic_mixture)(const LogisticMixtureArgs& args);
};

struct Kernels {
  const char* target;   // "scalar", "avx2", "avx512"
  bool (*supported)();  // by this CPU
  GemmFn gemm;
  MapFn map[static_cast<int>(MapOp::count)];
  RowFn row[static_cast<int>(RowOp::count)];
  LookupFn lookup;
  AttendFn attend;
  AttendManyFn attend_many;
  CategoricalFn categorical;
  CategoricalLogProbFn categorical_log_prob;
  CategoricalIntervalFn categorical_interval;
  // One logit (or, if probs, one probability of level 1) a row. Same conventions.
  int64_t (*bernoulli)(int32_t* level, const float* logits, int64_t stride, bool probs, const double* u, float temperature,
                       int64_t rows);
  int64_t (*bernoulli_log_prob)(double* log_prob, const float* logits, int64_t stride, bool probs, const int32_t* level,
                                float temperature, int64_t rows);
  int64_t (*bernoulli_interval)(double* lower, double* upper, const float* logits, int64_t stride, bool probs, const int32_t* level,
                                float temperature, int64_t rows);
  UniformsFn<double> uniforms_f64;
  UniformsFn<float> uniforms_f32;
  const RowKernels* rows;
  const HeadKernels* heads;
  InverseTableFn inverse_table;
  const FamilyKernels* families[static_cast<int>(Family::count)];
  const FamilyKernels& elementwise(Family family) const { return *families[static_cast<int>(family)]; }
};

// Every target compiled in, slowest first; `supported()` says whether this CPU can run it.
const Kernels* const* all_targets(int* count);
// The fastest supported target, or the one named by GENFAST_TARGET. Throws ArgumentError when that name is unknown or unsupported.
const Kernels& active_kernels();
// Forces a target for the whole process (tests, benchmarks). Throws ArgumentError likewise; an empty name returns to the default.
void set_target(const char* name);

}  // namespace genfast
