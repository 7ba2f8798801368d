// Pointwise operations (numerics/map_ops.h) over strided operands: one loop nest for all of them. Every result's NaN is canonical.
// Included once per target by all-inl.h.
#include "numerics/map_ops.h"

namespace genfast {
namespace GENFAST_NS {
namespace {

// One operand over one run of channels: either consecutive floats or the same float again and again.
struct Run {
  const float* data;
  bool same;
  f32x16 value;
  GENFAST_INLINE_MEMBER Run(const float* p, bool broadcast) : data(p), same(broadcast), value(broadcast ? *p : 0.0f) {}
  GENFAST_INLINE_MEMBER f32x16 at(int64_t c) const { return same ? value : f32x16::load(data + c); }
  GENFAST_INLINE_MEMBER f32x16 at(int64_t c, int64_t n) const { return same ? value : f32x16::load_n(data + c, n); }
};

template <class Op, int operands>
GENFAST_INLINE void map_run(float* out, const Run& x, const Run& y, const Run& z, const f32x16* p, int64_t n) {
  int64_t c = 0;
  for (; c + 16 <= n; c += 16) {
    const f32x16 a = x.at(c), b = operands > 1 ? y.at(c) : a, d = operands > 2 ? z.at(c) : a;
    numerics::canonical(Op::apply(a, b, d, p)).store(out + c);
  }
  if (c < n) {
    const f32x16 a = x.at(c, n - c), b = operands > 1 ? y.at(c, n - c) : a, d = operands > 2 ? z.at(c, n - c) : a;
    numerics::canonical(Op::apply(a, b, d, p)).store_n(out + c, n - c);
  }
}

template <class Op, int operands, int params>
void map(float* out, int64_t out_stride, const MapOperand* args, const float* params_in, int64_t rows, int64_t columns) {
  f32x16 p[params > 0 ? params : 1];
  for (int i = 0; i < params; ++i) p[i] = f32x16(params_in[i]);
  const MapOperand &x = args[0], &y = args[operands > 1 ? 1 : 0], &z = args[operands > 2 ? 2 : 0];
  // Rows that follow each other in every operand are one long row; so is a constant that they all share.
  bool flat = rows == 1 || out_stride == columns;
  for (int i = 0; i < operands; ++i) flat = flat && (rows == 1 || args[i].stride == (args[i].broadcast ? 0 : columns));
  if (flat) {
    columns *= rows;
    rows = 1;
  }
  for (int64_t r = 0; r < rows; ++r)
    map_run<Op, operands>(out + r * out_stride, Run(x.data + r * x.stride, x.broadcast), Run(y.data + r * y.stride, y.broadcast),
                          Run(z.data + r * z.stride, z.broadcast), p, columns);
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
