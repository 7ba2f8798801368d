// Operations over the channels of one position: norms, softmaxes and reductions. Sums run over 16 lanes (lane = channel mod
// 16, rising channel, from +0) and fold 8, 4, 2, 1, whatever the registers. in may be out exactly. Every result's NaN is
// canonical. Included once per target by all-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

template <class Fn>
GENFAST_INLINE float row_sum(const float* in, int64_t n, const Fn& term) {
  f32x16 sum(0.0f);
  int64_t c = 0;
  for (; c + 16 <= n; c += 16) sum = term.add(sum, f32x16::load(in + c));
  if (c < n) sum = term.add_n(sum, f32x16::load_n(in + c, n - c), n - c);
  return fold_sum(sum);
}

template <class Fn>
GENFAST_INLINE void row_map(float* out, const float* in, int64_t n, const Fn& fn) {
  int64_t c = 0;
  for (; c + 16 <= n; c += 16) numerics::canonical(fn.at(f32x16::load(in + c), c, 16)).store(out + c);
  if (c < n) numerics::canonical(fn.at(f32x16::load_n(in + c, n - c), c, n - c)).store_n(out + c, n - c);
}

GENFAST_INLINE float row_max(const float* in, int64_t n) {
  f32x16 best(-__builtin_inff());
  int64_t c = 0;
  for (; c + 16 <= n; c += 16) best = max(best, f32x16::load(in + c));
  if (c < n) best = max(best, f32x16::load_n(in + c, n - c, -__builtin_inff()));
  return fold_max(best);
}

// Lanes past the end must add +0, so squared terms there are cut off by what they are computed from: zeros, or `first_n`.
struct Plain {
  GENFAST_INLINE_MEMBER f32x16 add(f32x16 sum, f32x16 x) const { return sum + x; }
  GENFAST_INLINE_MEMBER f32x16 add_n(f32x16 sum, f32x16 x, int64_t) const { return sum + x; }
};
struct Square {
  GENFAST_INLINE_MEMBER f32x16 add(f32x16 sum, f32x16 x) const { return fma(x, x, sum); }
  GENFAST_INLINE_MEMBER f32x16 add_n(f32x16 sum, f32x16 x, int64_t) const { return fma(x, x, sum); }
};
GENFAST_INLINE f32x16 first_n(f32x16 x, int64_t n) {
  alignas(64) float lanes[16];
  x.store(lanes);
  return f32x16::load_n(lanes, n);
}
struct SquaredDeviation {
  f32x16 mean;
  GENFAST_INLINE_MEMBER f32x16 add(f32x16 sum, f32x16 x) const { return fma(x - mean, x - mean, sum); }
  GENFAST_INLINE_MEMBER f32x16 add_n(f32x16 sum, f32x16 x, int64_t n) const {
    const f32x16 d = first_n(x - mean, n);
    return fma(d, d, sum);
  }
};

// ((x - mean) * inverse) * weight + bias.
struct Normalize {
  f32x16 mean, inverse;
  const float *weight, *bias;
  GENFAST_INLINE_MEMBER f32x16 at(f32x16 x, int64_t c, int64_t n) const {
    const f32x16 y = (x - mean) * inverse;
    const f32x16 w = weight ? f32x16::load_n(weight + c, n) : f32x16(1.0f);
    return bias ? fma(y, w, f32x16::load_n(bias + c, n)) : y * w;
  }
};
struct ExpShifted {
  f32x16 shift;
  GENFAST_INLINE_MEMBER f32x16 at(f32x16 x, int64_t, int64_t) const { return numerics::exp_nonpositive_f32(x - shift); }
};
struct Scale {
  f32x16 factor;
  GENFAST_INLINE_MEMBER f32x16 at(f32x16 x, int64_t, int64_t) const { return x * factor; }
};
struct LogShifted {
  f32x16 shift, log_total;
  GENFAST_INLINE_MEMBER f32x16 at(f32x16 x, int64_t, int64_t) const { return (x - shift) - log_total; }
};
struct ExpSum {
  f32x16 shift;
  GENFAST_INLINE_MEMBER f32x16 add(f32x16 sum, f32x16 x) const { return sum + numerics::exp_nonpositive_f32(x - shift); }
  GENFAST_INLINE_MEMBER f32x16 add_n(f32x16 sum, f32x16 x, int64_t n) const {
    return sum + first_n(numerics::exp_nonpositive_f32(x - shift), n);
  }
};

template <RowOp op>
struct RowKernel;

template <>
struct RowKernel<RowOp::layer_norm> {
  static GENFAST_INLINE_MEMBER void row(float* out, const float* in, const float* params, const float* weight, const float* bias,
                                        int64_t n) {
    const float count = static_cast<float>(n);
    const float mean = row_sum(in, n, Plain()) / count;
    const float variance = row_sum(in, n, SquaredDeviation{f32x16(mean)}) / count;
    row_map(out, in, n, Normalize{f32x16(mean), f32x16(1.0f / numerics::sqrt(variance + params[0])), weight, bias});
  }
};
template <>
struct RowKernel<RowOp::rms_norm> {
  static GENFAST_INLINE_MEMBER void row(float* out, const float* in, const float* params, const float* weight, const float* bias,
                                        int64_t n) {
    const float mean_square = row_sum(in, n, Square()) / static_cast<float>(n);
    row_map(out, in, n, Normalize{f32x16(0.0f), f32x16(1.0f / numerics::sqrt(mean_square + params[0])), weight, bias});
  }
};
template <>
struct RowKernel<RowOp::softmax> {
  static GENFAST_INLINE_MEMBER void row(float* out, const float* in, const float*, const float*, const float*, int64_t n) {
    row_map(out, in, n, ExpShifted{f32x16(row_max(in, n))});
    row_map(out, out, n, Scale{f32x16(1.0f / row_sum(out, n, Plain()))});
  }
};
template <>
struct RowKernel<RowOp::log_softmax> {
  static GENFAST_INLINE_MEMBER void row(float* out, const float* in, const float*, const float*, const float*, int64_t n) {
    const f32x16 shift(row_max(in, n));
    row_map(out, in, n, LogShifted{shift, f32x16(numerics::log_f32(row_sum(in, n, ExpSum{shift})))});
  }
};
template <>
struct RowKernel<RowOp::sum> {
  static GENFAST_INLINE_MEMBER void row(float* out, const float* in, const float*, const float*, const float*, int64_t n) {
    *out = numerics::canonical(row_sum(in, n, Plain()));
  }
};
template <>
struct RowKernel<RowOp::mean> {
  static GENFAST_INLINE_MEMBER void row(float* out, const float* in, const float*, const float*, const float*, int64_t n) {
    *out = numerics::canonical(row_sum(in, n, Plain()) / static_cast<float>(n));
  }
};
template <>
struct RowKernel<RowOp::max> {
  static GENFAST_INLINE_MEMBER void row(float* out, const float* in, const float*, const float*, const float*, int64_t n) {
    // A comparison drops a NaN; a sum of x - x keeps it, but turns infinities into one: so ask for each NaN by name.
    f32x16 seen(0.0f);
    int64_t c = 0;
    for (; c < n; c += 16) {
      const f32x16 x = f32x16::load_n(in + c, n - c);
      seen = select(x == x, seen, x);
    }
    const float nan = fold_sum(seen);
    *out = nan == nan ? row_max(in, n) : numerics::canonical(nan);
  }
};

template <RowOp op>
void row(float* out, int64_t out_stride, const float* in, int64_t in_stride, const float* params, const float* weight,
         const float* bias, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) RowKernel<op>::row(out + r * out_stride, in + r * in_stride, params, weight, bias, columns);
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
