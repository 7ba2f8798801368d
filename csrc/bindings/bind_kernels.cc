// One kernel at a time, for the tests: `genfast._core.kernels`. Every shape is checked here, because a kernel checks nothing.
// Private to the project: no user code should need it, and no other binding calls it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "base/errors.h"
#include "bindings/targets.h"
#include "numerics/uniforms.h"

namespace py = pybind11;

namespace genfast {
namespace {

using Floats = py::array_t<float>;  // any strides: the tests pass offset and padded views on purpose

template <class Op>
Op op_named(const std::string& name) {
  for (int i = 0; i < static_cast<int>(Op::count); ++i)
    if (name == info(static_cast<Op>(i)).name) return static_cast<Op>(i);
  throw py::value_error("unknown operation " + name);
}

// A 2-d array with contiguous rows, seen as the kernels see one.
struct Matrix {
  const float* data;
  int64_t rows, columns, stride;
};
Matrix matrix(const Floats& a, const char* name) {
  require(a.ndim() == 2, std::string(name) + " must be a float32 matrix");
  require(a.shape(1) <= 1 || a.strides(1) == static_cast<py::ssize_t>(sizeof(float)),
          std::string(name) + " must have contiguous rows");
  require(a.strides(0) % static_cast<py::ssize_t>(sizeof(float)) == 0,
          std::string(name) + " has a stride that is not whole floats");
  return {a.data(), a.shape(0), a.shape(1), a.strides(0) / static_cast<py::ssize_t>(sizeof(float))};
}
// A matrix to be written: no two elements may share memory.
Matrix output(Floats& a, const char* name) {
  const Matrix m = matrix(a, name);
  require(a.writeable(), std::string(name) + " must be writeable");
  require(m.rows <= 1 || m.stride >= m.columns, std::string(name) + " must not have overlapping rows");
  return m;
}

std::vector<float> packed_floats(const std::vector<float>& values, size_t length, const char* name) {
  require(values.size() == length, std::string(name) + " must have " + std::to_string(length) + " values");
  return values;
}

struct AlignedFree {
  void operator()(void* p) const { std::free(p); }
};
std::unique_ptr<void, AlignedFree> aligned(int64_t bytes) {
  void* p = std::aligned_alloc(64, static_cast<size_t>(round_up(bytes > 0 ? bytes : 64, 64)));
  if (!p) throw std::bad_alloc();
  return std::unique_ptr<void, AlignedFree>(p);
}

py::list targets() {
  int count;
  const Kernels* const* all = all_targets(&count);
  py::list names;
  for (int i = 0; i < count; ++i) names.append(py::make_tuple(all[i]->target, all[i]->supported()));
  return names;
}

WeightType weight_type(const std::string& name) {
  for (int i = 0; i < static_cast<int>(WeightType::count); ++i)
    if (name == kWeightTypes[i].name) return static_cast<WeightType>(i);
  throw py::value_error("unknown weight type " + name);
}

// A float that the type holds exactly: anything else is the test's mistake.
void store(float x, float* to) { *to = x; }
void store(float x, Bf16* to) {
  uint32_t word;
  std::memcpy(&word, &x, sizeof word);
  require((word & 0xFFFF) == 0, "a weight is not a bf16");
  to->bits = static_cast<uint16_t>(word >> 16);
}
void store(float x, int8_t* to) {
  require(x >= -127 && x <= 127 && x == static_cast<float>(static_cast<int8_t>(x)), "a weight is not an int8");
  *to = static_cast<int8_t>(x);
}

// fn(data) with data as the pointer it is.
template <class Fn>
void fill(void* data, WeightType type, const Fn& fn) {
  switch (type) {
    case WeightType::bf16:
      return fn(static_cast<Bf16*>(data));
    case WeightType::i8:
      return fn(static_cast<int8_t*>(data));
    default:
      return fn(static_cast<float*>(data));
  }
}

// Weights of a type in blocks of 64 columns.
template <class W>
void pack(const Matrix& w, W* packed) {
  const int64_t padded = round_up(w.columns, 16);
  for (int64_t block = 0; block < padded; block += kGemmBlock) {
    const int64_t width = padded - block < kGemmBlock ? padded - block : kGemmBlock;
    for (int64_t k = 0; k < w.rows; ++k)
      for (int64_t c = 0; c < width; ++c)
        store(block + c < w.columns ? w.data[k * w.stride + block + c] : 0.0f, packed + block * w.rows + k * width + c);
  }
}

// One float a column (or a row of a table), zeros up to `padded`; empty if there are none.
std::vector<float> floats_or_none(const py::object& values, int64_t size, int64_t padded, const char* name) {
  if (values.is_none()) return {};
  std::vector<float> out = packed_floats(values.cast<std::vector<float>>(), static_cast<size_t>(size), name);
  out.resize(static_cast<size_t>(padded), 0.0f);
  return out;
}

// segments: (weight_row, new_chunk, [one (group_rows, count) matrix a group]). weights: (k_rows, N) numbers of weight_type, packed
// here. out: one (group_rows, N) matrix a group.
void gemm(const std::string& name, const std::vector<std::tuple<int64_t, bool, std::vector<Floats>>>& segments,
          const Floats& weights, const py::object& bias, bool relu, std::vector<Floats> out, int64_t m_begin, int64_t m_end,
          const std::vector<Floats>& residual, const std::string& type_name, const py::object& scales,
          std::vector<Floats> relu_out) {
  const Kernels& kernels = target(name);
  const Matrix w = matrix(weights, "weights");
  require(!out.empty() && w.columns > 0, "gemm needs a group and a column");
  const int64_t groups = static_cast<int64_t>(out.size());
  const Matrix first = output(out[0], "out");
  std::vector<float*> outs;
  for (Floats& o : out) {
    const Matrix m = output(o, "out");
    require(m.rows == first.rows && m.columns == w.columns && (m.stride == first.stride || m.rows <= 1), "out matrices must agree");
    outs.push_back(o.mutable_data());
  }
  if (m_end < 0) m_end = groups * first.rows;
  require(0 <= m_begin && m_begin <= m_end && m_end <= groups * first.rows, "rows out of range");

  std::vector<const float*> residuals;
  int64_t residual_stride = 0;
  require(residual.empty() || static_cast<int64_t>(residual.size()) == groups, "residual needs one matrix a group");
  for (const Floats& r : residual) {
    const Matrix m = matrix(r, "residual");
    require(m.rows == first.rows && m.columns == w.columns, "residual matrices must be like out");
    require(residuals.empty() || m.stride == residual_stride || m.rows <= 1, "residual matrices must agree");
    residuals.push_back(m.data);
    residual_stride = m.stride;
  }

  std::vector<float*> clipped;
  require(relu_out.empty() || static_cast<int64_t>(relu_out.size()) == groups, "relu_out needs one matrix a group");
  for (Floats& o : relu_out) {
    const Matrix m = output(o, "relu_out");
    require(m.rows == first.rows && m.columns == w.columns && m.stride == first.stride, "relu_out matrices must be like out");
    clipped.push_back(o.mutable_data());
  }

  std::vector<GemmSegment> list;
  std::vector<const float*> sources;
  std::vector<int64_t> strides;
  for (const auto& [weight_row, new_chunk, matrices] : segments) {
    require(static_cast<int64_t>(matrices.size()) == groups, "a segment needs one source a group");
    const Matrix lead = matrix(matrices[0], "source");
    for (const Floats& s : matrices) {
      const Matrix m = matrix(s, "source");
      require(m.rows == first.rows && m.columns == lead.columns && (m.stride == lead.stride || m.rows <= 1), "sources must agree");
      sources.push_back(m.data);
    }
    require(weight_row >= 0 && weight_row + lead.columns <= w.rows, "weight rows out of range");
    list.push_back({lead.columns, weight_row, new_chunk});
    strides.push_back(lead.stride);
  }

  const int64_t padded = round_up(w.columns, 16);
  const WeightType type = weight_type(type_name);
  auto packed = aligned(w.rows * padded * info(type).bytes);
  fill(packed.get(), type, [&](auto* to) { pack(w, to); });
  const std::vector<float> bias_values = floats_or_none(bias, w.columns, padded, "bias"),
                           scale_values = floats_or_none(scales, w.columns, padded, "scales");
  require(scale_values.empty() == (type != WeightType::i8), "int8 and only int8 takes scales");
  kernels.gemm({list.data(),
                static_cast<int64_t>(list.size()),
                sources.data(),
                strides.data(),
                outs.data(),
                first.stride,
                groups,
                first.rows,
                m_begin,
                m_end,
                packed.get(),
                w.rows,
                w.columns,
                bias_values.empty() ? nullptr : bias_values.data(),
                residuals.empty() ? nullptr : residuals.data(),
                residual_stride,
                relu,
                type,
                scale_values.data(),
                clipped.empty() ? nullptr : clipped.data(),
                first.stride});
}

// args: float matrices; a one-column operand is broadcast over the columns and a one-row operand over the rows.
void map(const std::string& name, const std::string& op_name, Floats out, const std::vector<Floats>& args,
         const std::vector<float>& params) {
  const MapOp op = op_named<MapOp>(op_name);
  const OpInfo& about = info(op);
  require(static_cast<int>(args.size()) == about.operands, op_name + " takes " + std::to_string(about.operands) + " operands");
  const std::vector<float> p = packed_floats(params, static_cast<size_t>(about.params), "params");
  const Matrix o = output(out, "out");
  std::vector<MapOperand> operands;
  for (const Floats& a : args) {
    const Matrix m = matrix(a, "operand");
    require((m.rows == o.rows || m.rows == 1) && (m.columns == o.columns || m.columns == 1), "operand does not fit out");
    operands.push_back({m.data, m.rows == 1 ? 0 : m.stride, m.columns == 1 && o.columns != 1});
  }
  if (o.rows && o.columns)
    target(name).map[static_cast<int>(op)](out.mutable_data(), o.stride, operands.data(), p.data(), o.rows, o.columns);
}

void row(const std::string& name, const std::string& op_name, Floats out, const Floats& in, const std::vector<float>& params,
         const py::object& weight, const py::object& bias) {
  const RowOp op = op_named<RowOp>(op_name);
  const Matrix o = output(out, "out"), x = matrix(in, "in");
  require(o.rows == x.rows && o.columns == (info(op).reduces ? 1 : x.columns) && x.columns > 0, "out does not fit in");
  const std::vector<float> p = packed_floats(params, static_cast<size_t>(info(op).params), "params");
  std::vector<float> w, b;
  if (!weight.is_none()) w = packed_floats(weight.cast<std::vector<float>>(), static_cast<size_t>(x.columns), "weight");
  if (!bias.is_none()) b = packed_floats(bias.cast<std::vector<float>>(), static_cast<size_t>(x.columns), "bias");
  target(name).row[static_cast<int>(op)](out.mutable_data(), o.stride, x.data, x.stride, p.data(), w.empty() ? nullptr : w.data(),
                                         b.empty() ? nullptr : b.data(), x.rows, x.columns);
}

// table: (rows, columns) numbers of weight_type.
int64_t lookup(const std::string& name, Floats out, const Floats& index, const Floats& table, const std::string& type_name,
               const py::object& scales) {
  const Matrix o = output(out, "out"), i = matrix(index, "index"), t = matrix(table, "table");
  require(i.columns == 1 && i.rows == o.rows && o.columns == t.columns, "lookup shapes do not agree");
  require(t.stride == t.columns || t.rows <= 1, "table must be contiguous");
  const WeightType type = weight_type(type_name);
  auto data = aligned(t.rows * t.columns * info(type).bytes);
  fill(data.get(), type, [&](auto* to) {
    for (int64_t k = 0; k < t.rows * t.columns; ++k) store(t.data[k], to + k);
  });
  const std::vector<float> scale_values = floats_or_none(scales, t.rows, t.rows, "scales");
  require(scale_values.empty() == (type != WeightType::i8), "int8 and only int8 takes scales");
  return target(name).lookup(out.mutable_data(), o.stride, i.data, i.stride, {data.get(), t.rows, type, scale_values.data()},
                             o.rows, o.columns);
}

// q: (rows, …), head h from column h * q_step on. k and v: one (rows, …) matrix a key, or None for one that may not be looked at.
// seen: the indices of the keys seen, or (first, count). bias: (heads, keys). scores: floats of scratch, which bounds the heads
// that go together.
void attend(const std::string& name, Floats out, const Floats& q, const std::vector<py::object>& k,
            const std::vector<py::object>& v, const py::object& seen, const std::vector<int64_t>& heads,
            const std::vector<int64_t>& dims, const std::vector<int64_t>& steps, float scale, int64_t scores,
            const py::object& bias) {
  require(heads.size() == 2 && heads[0] > 0 && heads[1] > 0 && heads[0] % heads[1] == 0, "heads must be (heads, kv_heads)");
  require(dims.size() == 2 && dims[0] > 0 && dims[1] > 0, "dims must be (dim, dim_v)");
  require(steps.size() == 3 && steps[0] >= 0 && steps[1] >= 0 && steps[2] >= 0, "steps must be (q, k, v)");
  const Matrix o = output(out, "out"), query = matrix(q, "q");
  require(o.columns == heads[0] * dims[1] && query.rows == o.rows, "out does not fit q and the heads");
  require(query.columns >= (heads[0] - 1) * steps[0] + dims[0], "q is too narrow");
  require(k.size() == v.size(), "k and v must have as many keys");
  AttendArgs args{};
  std::vector<const float*> pointers[2];
  std::vector<Floats> kept;
  int64_t strides[2] = {0, 0};
  for (int side = 0; side < 2; ++side)
    for (const py::object& key : side ? v : k) {
      if (key.is_none()) {
        pointers[side].push_back(nullptr);
        continue;
      }
      kept.push_back(key.cast<Floats>());
      const Matrix m = matrix(kept.back(), "key");
      require(m.rows == o.rows && m.columns >= (heads[1] - 1) * steps[1 + side] + dims[side], "a key is too small");
      require(strides[side] == 0 || strides[side] == m.stride || m.rows <= 1, "keys must agree");
      strides[side] = m.stride;
      pointers[side].push_back(m.data);
    }
  const int64_t keys = static_cast<int64_t>(k.size());
  std::vector<int32_t> visible;
  if (py::isinstance<py::tuple>(seen)) {
    std::tie(args.first, args.count) = seen.cast<std::pair<int64_t, int64_t>>();
    require(args.first >= 0 && args.count >= 0 && args.first + args.count <= keys, "keys out of range");
  } else {
    visible = seen.cast<std::vector<int32_t>>();
    args.count = static_cast<int64_t>(visible.size());
    visible.push_back(0);  // never a null pointer
    args.visible = visible.data();
  }
  for (int64_t i = 0; i < args.count; ++i) {
    const int64_t key = args.visible ? args.visible[i] : args.first + i;
    require(key >= 0 && key < keys && pointers[0][key] && pointers[1][key], "a key that is seen is missing");
  }
  if (!bias.is_none()) {
    kept.push_back(bias.cast<Floats>());
    const Matrix b = matrix(kept.back(), "bias");
    require(b.rows == heads[0] && b.columns == keys, "bias must be (heads, keys)");
    args.bias = b.data;
    args.bias_step = b.stride;
  }
  require(scores >= attend_scores(args.count), "scores is too small");
  std::vector<float> scratch(static_cast<size_t>(scores));
  args.out = out.mutable_data(), args.out_stride = o.stride, args.rows = o.rows;
  args.q = query.data, args.q_stride = query.stride, args.q_step = steps[0];
  args.k = pointers[0].data(), args.k_stride = strides[0], args.k_step = steps[1];
  args.v = pointers[1].data(), args.v_stride = strides[1], args.v_step = steps[2];
  args.heads = heads[0], args.kv_heads = heads[1], args.dim = dims[0], args.dim_v = dims[1];
  args.scale = scale;
  args.scores = scratch.data(), args.scores_size = scores;
  target(name).attend(args);
}

// Position i of q, which is (rows, …) each, sees keys first … first + counts[i] - 1 of k and v. bias: (heads, keys) a position, or
// none. Returns a matrix (rows, heads * dim_v) a position.
std::vector<Floats> attend_many(const std::string& name, const std::vector<Floats>& q, const std::vector<Floats>& k,
                                const std::vector<Floats>& v, int64_t first, const std::vector<int64_t>& counts,
                                const std::vector<int64_t>& heads, const std::vector<int64_t>& dims,
                                const std::vector<int64_t>& steps, float scale, const std::vector<Floats>& bias) {
  require(heads.size() == 2 && heads[0] > 0 && heads[1] > 0 && heads[0] % heads[1] == 0, "heads must be (heads, kv_heads)");
  require(dims.size() == 2 && dims[0] > 0 && dims[1] > 0, "dims must be (dim, dim_v)");
  require(steps.size() == 3 && steps[0] >= 0 && steps[1] >= 0 && steps[2] >= 0, "steps must be (q, k, v)");
  require(!q.empty() && q.size() == counts.size() && k.size() == v.size(), "as many counts as positions, as many k as v");
  require(bias.empty() || bias.size() == q.size(), "as many biases as positions");
  const int64_t rows = matrix(q[0], "q").rows, keys = static_cast<int64_t>(k.size());
  AttendManyArgs args{};
  const auto pointers = [&](const std::vector<Floats>& list, int64_t height, int64_t width, int64_t& stride) {
    std::vector<const float*> out;
    for (const Floats& each : list) {
      const Matrix m = matrix(each, "q, k, v or bias");
      require(m.rows == height && m.columns >= width && (out.empty() || m.stride == stride), "matrices do not agree");
      stride = m.stride;
      out.push_back(m.data);
    }
    return out;
  };
  const auto qs = pointers(q, rows, (heads[0] - 1) * steps[0] + dims[0], args.q_stride);
  const auto ks = pointers(k, rows, (heads[1] - 1) * steps[1] + dims[0], args.k_stride);
  const auto vs = pointers(v, rows, (heads[1] - 1) * steps[2] + dims[1], args.v_stride);
  const auto biases = pointers(bias, heads[0], keys, args.bias_step);
  for (int64_t count : counts) {
    require(first >= 0 && count >= 1 && first + count <= keys, "keys out of range");
    args.count = std::max(args.count, count);
  }
  std::vector<Floats> out;
  std::vector<float*> outs;
  for (size_t i = 0; i < q.size(); ++i) {
    out.push_back(Floats(std::vector<int64_t>{rows, heads[0] * dims[1]}));
    outs.push_back(out.back().mutable_data());
  }
  const int64_t padded = (args.count + 15) / 16 * 16;
  std::vector<float> panel(static_cast<size_t>(dims[0] * padded)), values(static_cast<size_t>(dims[1] * padded)),
      scores(static_cast<size_t>(4 * padded));
  args.positions = static_cast<int64_t>(q.size()), args.counts = counts.data(), args.rows = rows;
  args.out = outs.data(), args.out_stride = heads[0] * dims[1];
  args.q = qs.data(), args.k = ks.data(), args.v = vs.data(), args.bias = biases.empty() ? nullptr : biases.data();
  args.q_step = steps[0], args.k_step = steps[1], args.v_step = steps[2], args.first = first;
  args.heads = heads[0], args.kv_heads = heads[1], args.dim = dims[0], args.dim_v = dims[1], args.scale = scale;
  args.panel = panel.data(), args.values = values.data(), args.scores = scores.data();
  target(name).attend_many(args);
  return out;
}

void require_temperature(float temperature) { require(temperature > 0.0f, "temperature must be positive"); }

void require_levels(const Levels& level, int64_t rows, int64_t levels) {
  require(level.ndim() == 1 && level.shape(0) == rows, "level must have one entry a row");
  for (int64_t r = 0; r < rows; ++r) require(level.data()[r] >= 0 && level.data()[r] < levels, "level out of range");
}

// Returns (levels, first bad row or -1).
py::tuple categorical(const std::string& name, const Floats& logits, const Doubles& u, float temperature) {
  const Matrix x = matrix(logits, "logits");
  require(x.columns > 0 && u.ndim() == 1 && u.shape(0) == x.rows, "u must have one entry a row");
  require_temperature(temperature);
  Levels level(x.rows);
  const int64_t bad = target(name).categorical(level.mutable_data(), x.data, x.stride, u.data(), temperature, x.rows, x.columns);
  return py::make_tuple(level, bad);
}

// Returns (log probabilities, first bad row or -1).
py::tuple categorical_log_prob(const std::string& name, const Floats& logits, const Levels& level, float temperature) {
  const Matrix x = matrix(logits, "logits");
  require(x.columns > 0, "logits must have columns");
  require_levels(level, x.rows, x.columns);
  require_temperature(temperature);
  Doubles log_prob(x.rows);
  std::memset(log_prob.mutable_data(), 0, static_cast<size_t>(x.rows) * sizeof(double));
  const int64_t bad =
      target(name).categorical_log_prob(log_prob.mutable_data(), x.data, x.stride, level.data(), temperature, x.rows, x.columns);
  return py::make_tuple(log_prob, bad);
}

py::tuple bernoulli(const std::string& name, const Floats& logits, const Doubles& u, float temperature, bool probs) {
  const Matrix x = matrix(logits, "logits");
  require(x.columns == 1 && u.ndim() == 1 && u.shape(0) == x.rows, "one logit and one u a row");
  require_temperature(temperature);
  Levels level(x.rows);
  const int64_t bad = target(name).bernoulli(level.mutable_data(), x.data, x.stride, probs, u.data(), temperature, x.rows);
  return py::make_tuple(level, bad);
}

py::tuple bernoulli_log_prob(const std::string& name, const Floats& logits, const Levels& level, float temperature, bool probs) {
  const Matrix x = matrix(logits, "logits");
  require(x.columns == 1, "one logit a row");
  require_levels(level, x.rows, 2);
  require_temperature(temperature);
  Doubles log_prob(x.rows);
  std::memset(log_prob.mutable_data(), 0, static_cast<size_t>(x.rows) * sizeof(double));
  const int64_t bad =
      target(name).bernoulli_log_prob(log_prob.mutable_data(), x.data, x.stride, probs, level.data(), temperature, x.rows);
  return py::make_tuple(log_prob, bad);
}

template <class T>
py::array_t<T> uniform_array(uint64_t seed, uint64_t row, uint64_t first_site, int64_t n) {
  require(n >= 0, "n must not be negative");
  py::array_t<T> out(n);
  uniforms(seed, row, first_site, n, out.mutable_data());
  return out;
}

template <class T>
py::array_t<T> uniform_rows(const std::string& name, uint64_t seed, uint64_t first_row, int64_t rows, uint64_t first_site,
                            int64_t sites) {
  require(rows >= 0 && sites >= 0, "rows and sites must not be negative");
  py::array_t<T> out(std::vector<py::ssize_t>{rows, sites});
  const Kernels& kernels = target(name);
  if constexpr (sizeof(T) == sizeof(double))
    kernels.uniforms_f64(out.mutable_data(), sites, seed, first_row, rows, first_site, sites);
  else
    kernels.uniforms_f32(out.mutable_data(), sites, seed, first_row, rows, first_site, sites);
  return out;
}

py::tuple philox(const std::vector<uint32_t>& counter, const std::vector<uint32_t>& key) {
  require(counter.size() == 4 && key.size() == 2, "a counter has four words and a key two");
  const auto b = numerics::philox4x32({{counter[0], counter[1], counter[2], counter[3]}}, key[0], key[1]);
  return py::make_tuple(b.word[0], b.word[1], b.word[2], b.word[3]);
}

}  // namespace

void bind_head_kernels(py::module_& kernels);

void bind_kernels(py::module_& m) {
  py::module_ k = m.def_submodule("kernels", "Single kernels, for tests. Private.");
  using namespace py::literals;
  k.def("targets", &targets, "[(name, supported by this CPU)], slowest first");
  k.def("active", [] { return std::string(active_kernels().target); });
  k.def("set_target", [](const std::string& name) { set_target(name.c_str()); }, "target"_a);
  k.def("gemm", &gemm, "target"_a, "segments"_a, "weights"_a.noconvert(), "bias"_a = py::none(), "relu"_a = false,
        "out"_a.noconvert(), "m_begin"_a = 0, "m_end"_a = -1, "residual"_a = std::vector<Floats>{}, "weight_type"_a = "f32",
        "scales"_a = py::none(), "relu_out"_a = std::vector<Floats>{});
  k.def("map", &map, "target"_a, "op"_a, "out"_a.noconvert(), "args"_a, "params"_a = std::vector<float>{});
  k.def("row", &row, "target"_a, "op"_a, "out"_a.noconvert(), "input"_a.noconvert(), "params"_a = std::vector<float>{},
        "weight"_a = py::none(), "bias"_a = py::none());
  k.def("lookup", &lookup, "target"_a, "out"_a.noconvert(), "index"_a.noconvert(), "table"_a.noconvert(), "weight_type"_a = "f32",
        "scales"_a = py::none());
  k.def("attend", &attend, "target"_a, "out"_a.noconvert(), "q"_a.noconvert(), "k"_a, "v"_a, "seen"_a, "heads"_a, "dims"_a,
        "steps"_a, "scale"_a, "scores"_a, "bias"_a = py::none());
  k.def("attend_many", &attend_many, "target"_a, "q"_a, "k"_a, "v"_a, "first"_a, "counts"_a, "heads"_a, "dims"_a, "steps"_a,
        "scale"_a, "bias"_a = std::vector<Floats>{});
  k.def("categorical", &categorical, "target"_a, "logits"_a.noconvert(), "u"_a, "temperature"_a = 1.0f);
  k.def("categorical_log_prob", &categorical_log_prob, "target"_a, "logits"_a.noconvert(), "level"_a, "temperature"_a = 1.0f);
  k.def("bernoulli", &bernoulli, "target"_a, "logits"_a.noconvert(), "u"_a, "temperature"_a = 1.0f, "probs"_a = false);
  k.def("bernoulli_log_prob", &bernoulli_log_prob, "target"_a, "logits"_a.noconvert(), "level"_a, "temperature"_a = 1.0f,
        "probs"_a = false);
  k.def("uniforms", &uniform_array<double>, "seed"_a, "row"_a, "first_site"_a, "n"_a);
  k.def("uniforms_f32", &uniform_array<float>, "seed"_a, "row"_a, "first_site"_a, "n"_a);
  k.def("uniform_rows_f64", &uniform_rows<double>, "target"_a, "seed"_a, "first_row"_a, "rows"_a, "first_site"_a, "sites"_a);
  k.def("uniform_rows_f32", &uniform_rows<float>, "target"_a, "seed"_a, "first_row"_a, "rows"_a, "first_site"_a, "sites"_a);
  k.def("philox4x32", &philox, "counter"_a, "key"_a);
  bind_head_kernels(k);
}

}  // namespace genfast
