// Rows of logits of every kind for the samplers, any number of draws a row (logits-inl.h). Included once per target by
// targets/<target>_rows.cc, inside the target pragma.
#include "kernels/lanes-inl.h"
#include "kernels/logits-inl.h"

namespace genfast {
namespace GENFAST_NS {
namespace {

// Half-precision logits are exactly f32 logits.
struct LogitsBf16 {
  using T = uint16_t;
  using Real = float;
  using Lanes = f32x16;
  static constexpr Real none = -__builtin_inff();
  static GENFAST_INLINE_MEMBER Lanes load(const T* p) { return bits_shl<16>(load_u16(p)); }
  static GENFAST_INLINE_MEMBER Lanes load_n(const T* p, int64_t n, Real) { return bits_shl<16>(load_u16_n(p, n, 0xff80)); }
};
struct LogitsF16 {
  using T = uint16_t;
  using Real = float;
  using Lanes = f32x16;
  static constexpr Real none = -__builtin_inff();
  static GENFAST_INLINE_MEMBER Lanes load(const T* p) { return widen(load_u16(p)); }
  static GENFAST_INLINE_MEMBER Lanes load_n(const T* p, int64_t n, Real) { return widen(load_u16_n(p, n, 0xfc00)); }
  // Exponent and fraction read as a float are 2^112 times too small; infinities and NaNs then lack the rest of their exponent.
  static GENFAST_INLINE_MEMBER f32x16 widen(f32x16 h) {
    const f32x16 size = bits_shl<13>(bits_and(h, uint32_t{0x7fff})) * f32x16(0x1p112f);
    const f32x16 finite = select(size >= f32x16(65536.0f), bits_or(size, uint32_t{0x7f800000}), size);
    return bits_or(finite, bits_shl<16>(bits_and(h, uint32_t{0x8000})));
  }
};

template <class In, Divide divide>
GENFAST_INLINE void sample_each(const LogitRows& rows, int64_t first, const double* u, int64_t draws, int32_t* level,
                                double* largest, double* total) {
  using T = typename In::T;
  for (int64_t r = first; r < rows.rows; ++r) {
    const auto row = make_row<In, divide>(static_cast<const T*>(rows.logits) + r * rows.stride, rows.columns,
                                          static_cast<typename In::Real>(rows.temperature[rows.own_temperature ? r : 0]));
    const double sum = sample_alone(level + r * draws, row, u + r * draws, draws);
    if (largest) largest[r] = static_cast<double>(row.m);
    if (total) total[r] = sum;
  }
}

template <class In>
void sample_any(const LogitRows& rows, const double* u, int64_t draws, int32_t* level, double* largest, double* total) {
  sample_each<In, Divide::maybe>(rows, 0, u, draws, level, largest, total);
}

template <Divide divide>
void sample_f32(const LogitRows& rows, const double* u, int64_t draws, int32_t* level, double* largest, double* total) {
  int64_t r = 0;
  if (rows.columns <= kTogether && draws == 1 && !largest && !total) {
    alignas(64) double marks[kTogetherMarks];
    for (; r + 8 <= rows.rows; r += 8) {
      float temperature[8];
      for (int i = 0; i < 8; ++i) temperature[i] = static_cast<float>(rows.temperature[rows.own_temperature ? r + i : 0]);
      const Together<divide> together(static_cast<const float*>(rows.logits) + r * rows.stride, rows.stride, temperature, 1,
                                      rows.columns);
      sample_together(level + r, together, together.accumulate(marks), marks, u + r);
    }
  }
  sample_each<LogitsF32, divide>(rows, r, u, draws, level, largest, total);
}
void sample_f32_any(const LogitRows& rows, const double* u, int64_t draws, int32_t* level, double* largest, double* total) {
  const bool plain = !rows.own_temperature && static_cast<float>(rows.temperature[0]) == 1.0f;
  plain ? sample_f32<Divide::never>(rows, u, draws, level, largest, total)
        : sample_f32<Divide::always>(rows, u, draws, level, largest, total);
}

template <class In>
void temper(void* z, const void* logits, int64_t n, double temperature) {
  using Real = typename In::Real;
  const typename In::T* x = static_cast<const typename In::T*>(logits);
  const typename In::Lanes t(static_cast<Real>(temperature));
  Real* out = static_cast<Real*>(z);
  for (int64_t k = 0; k < n; k += 16) {
    const auto y = (k + 16 <= n ? In::load(x + k) : In::load_n(x + k, n - k, In::none)) / t;
    store_n(y, out + k, n - k);
  }
}
GENFAST_INLINE void store_n(f32x16 x, float* p, int64_t n) { x.store_n(p, n); }
GENFAST_INLINE void store_n(f64x16 x, double* p, int64_t n) {
  x.v[0].store_n(p, n);
  if (n > 8) x.v[1].store_n(p + 8, n - 8);
}

template <class In>
void weights(double* weights, const typename In::Real* z, int64_t n, double largest) {
  const Row<In, Divide::never> row{z, n, 1, static_cast<typename In::Real>(largest), false};
  for (int64_t k = 0; k < n; k += 16) {
    const auto w = weights_of(row.last_block(k));
    low_half(w).store_n(weights + k, n - k);
    if (n - k > 8) high_half(w).store_n(weights + k + 8, n - k - 8);
  }
}

void log_weights(double* z, const double* weights, int64_t n) {
  for (int64_t k = 0; k < n; k += 8) numerics::log_f64(f64x8::load_n(weights + k, n - k, 1.0)).store_n(z + k, n - k);
}

}  // namespace
}  // namespace GENFAST_NS

#define GENFAST_ROWS_JOIN2(a, b) a##b
#define GENFAST_ROWS_JOIN(a, b) GENFAST_ROWS_JOIN2(a, b)
extern const RowKernels GENFAST_ROWS_JOIN(GENFAST_NS, _row_kernels) = {
    {GENFAST_NS::sample_f32_any, GENFAST_NS::sample_any<GENFAST_NS::LogitsF64>, GENFAST_NS::sample_any<GENFAST_NS::LogitsBf16>,
     GENFAST_NS::sample_any<GENFAST_NS::LogitsF16>},
    {GENFAST_NS::temper<GENFAST_NS::LogitsF32>, GENFAST_NS::temper<GENFAST_NS::LogitsF64>,
     GENFAST_NS::temper<GENFAST_NS::LogitsBf16>, GENFAST_NS::temper<GENFAST_NS::LogitsF16>},
    GENFAST_NS::weights<GENFAST_NS::LogitsF32>,
    GENFAST_NS::weights<GENFAST_NS::LogitsF64>,
    GENFAST_NS::log_weights,
};

}  // namespace genfast
