// Position tables as a file states them, and what validation needs to know of one without expanding it: a few numbers of JSON can
// stand for millions of entries, so a grid is only laid out once everything that reads it has been found valid.
#pragma once
#include <cstdint>
#include <vector>

namespace genfast {

// Reader position (y, x) of rows × columns reads (y·step_y + shift_y, x·step_x + shift_x) of source_rows × source_columns.
struct Grid {
  int64_t rows = 0, columns = 0, source_rows = 0, source_columns = 0;
  int64_t step_y = 0, step_x = 0, shift_y = 0, shift_x = 0;
};

struct TableSpec {
  bool grid = false;
  Grid shape;                      // grid
  int64_t offset = 0, length = 0;  // otherwise: a slice of the tables tensor
};

struct TableInfo {
  int64_t length = 0;
  int64_t first = -1;    // the smallest entry; below -1 only in bitmaps
  int64_t last = -1;     // the largest entry, -1 when all are
  bool outside = false;  // has -1 entries
};

// Checks every table on its own: sizes and the slice. Throws FormatError.
std::vector<TableInfo> inspect_tables(const std::vector<TableSpec>& specs, const int32_t* stored, int64_t stored_size);

// The entries of tables that passed inspect_tables.
std::vector<std::vector<int32_t>> expand_tables(const std::vector<TableSpec>& specs, const int32_t* stored);

}  // namespace genfast
