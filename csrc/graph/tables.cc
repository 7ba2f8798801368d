#include "graph/tables.h"

#include <algorithm>
#include <string>

#include "base/errors.h"
#include "graph/json.h"
#include "graph/limits.h"

namespace genfast {
namespace {

std::string label(size_t i) { return "tables[" + std::to_string(i) + "]"; }

int64_t length_of(const TableSpec& spec, int64_t stored_size) {
  if (!spec.grid) {
    if (spec.offset > stored_size - spec.length)
      throw FormatError("offset " + std::to_string(spec.offset) + " and length " + std::to_string(spec.length) +
                        " reach beyond the tables tensor of " + std::to_string(stored_size));
    return spec.length;
  }
  const Grid& g = spec.shape;
  if (g.rows * g.columns > kMaxPositions || g.source_rows * g.source_columns > kMaxPositions)
    throw FormatError("the grid has more than 2^24 positions");
  return g.rows * g.columns;
}

TableInfo inspect_stored(const int32_t* entries, int64_t length) {
  TableInfo table;
  table.length = length;
  const auto [low, high] = std::minmax_element(entries, entries + length);
  table.first = *low;
  table.last = *high;
  table.outside = *low == -1;
  return table;
}

// One axis of a grid: the largest source coordinate inside [0, extent), and whether any falls outside.
TableInfo inspect_axis(int64_t count, int64_t step, int64_t shift, int64_t extent) {
  TableInfo axis;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = i * step + shift;
    if (at < 0 || at >= extent)
      axis.outside = true;
    else
      axis.last = std::max(axis.last, at);
  }
  return axis;
}

TableInfo inspect_grid(const Grid& g) {
  const TableInfo y = inspect_axis(g.rows, g.step_y, g.shift_y, g.source_rows);
  const TableInfo x = inspect_axis(g.columns, g.step_x, g.shift_x, g.source_columns);
  TableInfo table;
  table.length = g.rows * g.columns;
  table.outside = y.outside || x.outside;
  if (y.last >= 0 && x.last >= 0) table.last = y.last * g.source_columns + x.last;
  return table;
}

std::vector<int32_t> expand_grid(const Grid& g) {
  std::vector<int32_t> entries(static_cast<size_t>(g.rows * g.columns), -1);
  for (int64_t y = 0; y < g.rows; ++y) {
    const int64_t source_y = y * g.step_y + g.shift_y;
    if (source_y < 0 || source_y >= g.source_rows) continue;
    for (int64_t x = 0; x < g.columns; ++x) {
      const int64_t source_x = x * g.step_x + g.shift_x;
      if (source_x < 0 || source_x >= g.source_columns) continue;
      entries[static_cast<size_t>(y * g.columns + x)] = static_cast<int32_t>(source_y * g.source_columns + source_x);
    }
  }
  return entries;
}

}  // namespace

std::vector<TableInfo> inspect_tables(const std::vector<TableSpec>& specs, const int32_t* stored, int64_t stored_size) {
  // The sum first: tables may overlap, so a small file could otherwise ask for any amount of looking.
  int64_t total = 0;
  for (size_t i = 0; i < specs.size(); ++i) {
    within([&] { return label(i); }, [&] { total += length_of(specs[i], stored_size); });
    if (total > kMaxTableEntries) throw FormatError("tables have more than 2^28 entries together");
  }
  std::vector<TableInfo> tables;
  tables.reserve(specs.size());
  for (size_t i = 0; i < specs.size(); ++i)
    within([&] { return label(i); },
           [&] {
             tables.push_back(specs[i].grid ? inspect_grid(specs[i].shape)
                                            : inspect_stored(stored + specs[i].offset, specs[i].length));
           });
  return tables;
}

std::vector<std::vector<int32_t>> expand_tables(const std::vector<TableSpec>& specs, const int32_t* stored) {
  std::vector<std::vector<int32_t>> tables;
  tables.reserve(specs.size());
  for (const TableSpec& spec : specs) {
    const int32_t* entries = stored + (spec.grid ? 0 : spec.offset);
    tables.push_back(spec.grid ? expand_grid(spec.shape) : std::vector<int32_t>(entries, entries + spec.length));
  }
  return tables;
}

}  // namespace genfast
