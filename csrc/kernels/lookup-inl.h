// Rows of a table picked by float indices. Included once per target by all-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

void lookup_row(float* out, const LookupTable& table, int64_t row, int64_t columns) {
  const int64_t first = row * columns;
  switch (table.type) {
    case WeightType::bf16:
      for (int64_t c = 0; c < columns; ++c) out[c] = static_cast<const Bf16*>(table.data)[first + c];
      break;
    case WeightType::i8:
      for (int64_t c = 0; c < columns; ++c)
        out[c] = static_cast<float>(static_cast<const int8_t*>(table.data)[first + c]) * table.scales[row];
      break;
    default:
      memcpy(out, static_cast<const float*>(table.data) + first, static_cast<size_t>(columns) * sizeof(float));
  }
}

int64_t lookup(float* out, int64_t out_stride, const float* index, int64_t index_stride, const LookupTable& table, int64_t rows,
               int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    const float x = index[r * index_stride];
    // The first comparison also refuses NaN and everything too large to convert.
    if (!(x >= 0.0f && x < static_cast<float>(table.rows))) return r;
    const int64_t row = static_cast<int64_t>(x);
    if (row >= table.rows || static_cast<float>(row) != x) return r;
    lookup_row(out + r * out_stride, table, row, columns);
  }
  return -1;
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
