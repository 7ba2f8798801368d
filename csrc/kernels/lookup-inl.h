// Rows of a table picked by float indices. Included once per target by all-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

int64_t lookup(float* out, int64_t out_stride, const float* index, int64_t index_stride, const float* table, int64_t table_rows,
               int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    const float x = index[r * index_stride];
    // The first comparison also refuses NaN and everything too large to convert.
    if (!(x >= 0.0f && x < static_cast<float>(table_rows))) return r;
    const int64_t row = static_cast<int64_t>(x);
    if (row >= table_rows || static_cast<float>(row) != x) return r;
    memcpy(out + r * out_stride, table + row * columns, static_cast<size_t>(columns) * sizeof(float));
  }
  return -1;
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
