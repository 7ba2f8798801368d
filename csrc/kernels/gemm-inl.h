// The batch-reduce matrix product of kernels.h: out rows = sum over segments of source rows times packed weights.
// One register tile holds a few rows by one to four vectors of columns; every element in it is one fma chain a chunk, so the
// shape of a tile decides the speed and never the result. Included once per target by all-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

// The rows of a tile, which may straddle groups. Where a tile leaves a group looks random, so of tiles that are no higher than a
// group no branch asks for it.
template <int rows>
struct TileRows {
  bool two;                          // groups at most
  int64_t g, p, edge, size;          // the first row's group and its place there, rows until the next group, rows of a group
  int64_t group[rows], place[rows];  // unless two
  GENFAST_INLINE_MEMBER TileRows(int64_t first_group, int64_t first_place, int64_t group_rows)
      : two(group_rows >= rows), g(first_group), p(first_place), edge(group_rows - p), size(group_rows) {
    if (two) return;
    int64_t group_now = g, place_now = p;
    for (int i = 0; i < rows; ++i) {
      group[i] = group_now;
      place[i] = place_now;
      if (++place_now == size) place_now = 0, ++group_now;
    }
  }

  // Where row i lies, of rows `stride` apart in each group.
  template <class T>
  GENFAST_INLINE_MEMBER void find(T* const* groups, int64_t stride, T* (&at)[rows]) const {
    if (two) {
      T* row = groups[g] + p * stride;
      T* next = groups[edge < rows ? g + 1 : g] + (p - size) * stride;
#pragma GCC unroll 32
      for (int i = 0; i < rows; ++i, row += stride, next += stride) at[i] = i < edge ? row : next;
    } else {
#pragma GCC unroll 32
      for (int i = 0; i < rows; ++i) at[i] = groups[group[i]] + place[i] * stride;
    }
  }
};

// Sixteen weights, widened exactly; those used once may stay in memory.
GENFAST_INLINE f32x16 load_weights(const float* w) { return load_to_register(w); }
GENFAST_INLINE f32x16 load_weights(const Bf16* w) { return bits_shl<16>(load_u16(&w->bits)); }
GENFAST_INLINE f32x16 load_weights(const int8_t* w) { return load_i8(w); }
GENFAST_INLINE f32x16 load_weights_once(const float* w) { return f32x16::load(w); }
template <class W>
GENFAST_INLINE f32x16 load_weights_once(const W* w) {
  return load_weights(w);
}

// Rows of weights that the first tile of a strip fetches ahead of their use, for where L2 does not hold them: the processor's own
// prefetcher stops at every page, which is sixteen rows. The tiles that follow find them in L1 or L2.
constexpr int kFetchAhead = 8;

// sum += the segments from s to the end of their chunk; returns where the next chunk starts.
template <int vectors, int rows, bool fetch, class W>
GENFAST_INLINE int64_t gemm_chunk(const GemmArgs& a, int64_t s, const TileRows<rows>& at, const W* panel, int64_t width,
                                  f32x16 (&sum)[rows][vectors]) {
  constexpr int step = weights_at_once(rows, vectors);
  const float* const* sources = a.sources + s * a.groups;
  do {
    const GemmSegment segment = a.segments[s];
    const int64_t stride = a.source_stride[s];
    const float* source[rows];
    at.find(sources, stride, source);
    const W* w = panel + segment.weight_row * width;
#pragma GCC unroll 32
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) keep_in_register(sum[i][v]);
    }
#pragma GCC unroll 2
    for (int64_t k = 0; k < segment.count; ++k, w += width) {
      if (fetch) {
        constexpr int line = 64 / sizeof(W);
#pragma GCC unroll 4
        for (int n = 0; n < 16 * vectors; n += line) __builtin_prefetch(w + kFetchAhead * 16 * vectors + n);
      }
#pragma GCC unroll 4
      for (int part = 0; part < vectors; part += step) {
        f32x16 weight[step];
#pragma GCC unroll 4
        for (int v = 0; v < step; ++v)
          weight[v] = rows > 1 ? load_weights(w + 16 * (part + v)) : load_weights_once(w + 16 * (part + v));
#pragma GCC unroll 32
        for (int i = 0; i < rows; ++i) {
          const f32x16 x(source[i][k]);
#pragma GCC unroll 4
          for (int v = 0; v < step; ++v) sum[i][part + v] = fma(x, weight[v], sum[i][part + v]);
        }
        if (step < vectors) forget_loads();
      }
    }
    ++s;
    sources += a.groups;
  } while (s < a.n_segments && !a.segments[s].new_chunk);
  return s;
}

template <int vectors, int rows>
GENFAST_INLINE void gemm_clip(f32x16 (&sum)[rows][vectors]) {
#pragma GCC unroll 32
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[i][v] = max(sum[i][v], f32x16(0.0f));
  }
}

template <bool whole, int vectors, int rows>
GENFAST_INLINE void gemm_store(const GemmArgs& a, float* const* groups, int64_t stride, int64_t column, const TileRows<rows>& at,
                               const f32x16 (&sum)[rows][vectors]) {
  float* row[rows];
  at.find(groups, stride, row);
#pragma GCC unroll 32
  for (int i = 0; i < rows; ++i) {
    float* out = row[i] + column;
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      if (whole)
        sum[i][v].store(out + 16 * v);
      else
        sum[i][v].store_n(out + 16 * v, a.columns - column - 16 * v);
    }
  }
}

// The epilogue of a tile; `whole` when all its columns exist.
template <bool scaled, int vectors, int rows, bool whole>
GENFAST_INLINE void gemm_finish(const GemmArgs& a, int64_t column, const TileRows<rows>& at, f32x16 (&sum)[rows][vectors]) {
  if (scaled) {
    f32x16 scale[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) scale[v] = f32x16::load(a.scales + column + 16 * v);
#pragma GCC unroll 32
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sum[i][v] = sum[i][v] * scale[v];
    }
  }
  f32x16 bias[vectors];
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) bias[v] = a.bias ? f32x16::load(a.bias + column + 16 * v) : f32x16(0.0f);
#pragma GCC unroll 32
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[i][v] = sum[i][v] + bias[v];
  }
  if (a.residual) {
    const float* row[rows];
    at.find(a.residual, a.residual_stride, row);
#pragma GCC unroll 32
    for (int i = 0; i < rows; ++i) {
      const float* residual = row[i] + column;
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v)
        sum[i][v] =
            sum[i][v] + (whole ? f32x16::load(residual + 16 * v) : f32x16::load_n(residual + 16 * v, a.columns - column - 16 * v));
    }
  }
  if (a.relu) gemm_clip(sum);
  gemm_store<whole>(a, a.out, a.out_stride, column, at, sum);
  if (a.relu_out) {
    gemm_clip(sum);
    gemm_store<whole>(a, a.relu_out, a.relu_out_stride, column, at, sum);
  }
}

// Rows from row p of group g on by the `vectors` vectors of columns that start at `column`; `panel` is their first packed weight
// and `width` the distance to the next row of weights.
template <class W, int vectors, int rows, bool fetch>
void gemm_tile(const GemmArgs& a, int64_t g, int64_t p, int64_t column, const W* panel, int64_t width) {
  constexpr bool scaled = sizeof(W) == sizeof(int8_t);
  const TileRows<rows> at(g, p, a.group_rows);
  f32x16 sum[rows][vectors];
  alignas(64) float total[rows][vectors][16];
  int64_t s = 0;
  for (;;) {
#pragma GCC unroll 32
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sum[i][v] = f32x16(0.0f);
    }
    const bool first = s == 0;
    s = gemm_chunk<vectors, rows, fetch>(a, s, at, panel, width, sum);
    if (__builtin_expect(!first, 0)) {
#pragma GCC unroll 32
      for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sum[i][v] = f32x16::load(total[i][v]) + sum[i][v];
      }
    }
    if (__builtin_expect(s == a.n_segments, 1)) break;
#pragma GCC unroll 32
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sum[i][v].store(total[i][v]);
    }
  }
  if (a.columns - column >= 16 * vectors)
    gemm_finish<scaled, vectors, rows, true>(a, column, at, sum);
  else
    gemm_finish<scaled, vectors, rows, false>(a, column, at, sum);
}

template <class W>
using TileFn = void (*)(const GemmArgs&, int64_t, int64_t, int64_t, const W*, int64_t);

// Rows of the highest tile and of the usual one. Higher tiles of reduced weights would gain little and double what a target takes
// to compile.
template <class W>
constexpr int tile_rows(int most) {
  return sizeof(W) == sizeof(float) || most < 4 ? most : 4;
}

// All rows of the call by `vectors` vectors of columns, in tiles of equal height, about; one that is higher than usual may take
// what would else be a low one.
template <class W, int vectors, int... i>
GENFAST_INLINE void gemm_strip(const GemmArgs& a, int64_t column, const W* panel, int64_t width, std::integer_sequence<int, i...>) {
  constexpr bool fetch = vectors == kGemmBlock / 16;  // narrower strips are few, and their rows of weights may lie apart
  static constexpr TileFn<W> tiles[] = {gemm_tile<W, vectors, i + 1, false>...};
  static constexpr TileFn<W> first[] = {gemm_tile<W, vectors, i + 1, fetch>...};
  constexpr int highest = tile_rows<W>(kTileRows[vectors]), usual = tile_rows<W>(kUsualRows[vectors]);
  const int64_t rows = a.m_end - a.m_begin, count = std::max<int64_t>(1, (rows + 2 * usual - highest - 1) / usual);
  const int64_t height = rows / count, taller = rows % count;
  int64_t g = a.m_begin / a.group_rows, p = a.m_begin % a.group_rows;
  for (int64_t t = 0; t < count; ++t) {
    const int64_t h = height + (t < taller);
    (t == 0 ? first : tiles)[h - 1](a, g, p, column, panel, width);
    for (p += h; p >= a.group_rows; ++g) p -= a.group_rows;
  }
}

template <int vectors, class W>
void gemm_strip(const GemmArgs& a, int64_t column, const W* panel, int64_t width) {
  gemm_strip<W, vectors>(a, column, panel, width, std::make_integer_sequence<int, tile_rows<W>(kTileRows[vectors])>());
}

template <class W>
void gemm_of(const GemmArgs& a, const W* weights) {
  const int64_t rows = a.m_end - a.m_begin;
  for (int64_t block = 0; block < a.columns; block += kGemmBlock) {
    const int vectors = static_cast<int>(a.columns - block >= kGemmBlock ? kGemmBlock / 16 : (a.columns - block + 15) / 16);
    const W* panel = weights + block * a.k_rows;
    for (int v = 0; v < vectors;) {
      const int take = tile_vectors(rows, vectors - v);
      const int64_t column = block + 16 * v;
      switch (take) {
        case 1:
          gemm_strip<1>(a, column, panel + 16 * v, 16 * vectors);
          break;
        case 2:
          gemm_strip<2>(a, column, panel + 16 * v, 16 * vectors);
          break;
        case 3:
          gemm_strip<3>(a, column, panel + 16 * v, 16 * vectors);
          break;
        default:
          gemm_strip<4>(a, column, panel + 16 * v, 16 * vectors);
          break;
      }
      v += take;
    }
  }
}

void gemm(const GemmArgs& a) {
  if (a.m_end <= a.m_begin) return;
  if (a.n_segments == 0) {  // one of no channels, so that a tile need not ask
    const GemmSegment nothing{0, 0, false};
    const int64_t no_stride = 0;
    GemmArgs call = a;
    call.segments = &nothing, call.n_segments = 1, call.sources = a.out, call.source_stride = &no_stride;
    return gemm(call);
  }
  switch (a.weight_type) {
    case WeightType::bf16:
      return gemm_of(a, static_cast<const Bf16*>(a.weights));
    case WeightType::i8:
      return gemm_of(a, static_cast<const int8_t*>(a.weights));
    default:
      return gemm_of(a, static_cast<const float*>(a.weights));
  }
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
