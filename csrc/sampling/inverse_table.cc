#include "sampling/inverse_table.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "base/errors.h"
#include "base/thread_pool.h"
#include "numerics/inverse_table.h"

namespace genfast {
namespace {

constexpr int64_t kElements = 16384;  // elements of a task: long against its cost, short against a thread's share

void require(bool condition, const char* what) {
  if (!condition) throw ArgumentError(std::string("inverse table: ") + what);
}

}  // namespace

InverseTable::InverseTable(Parts parts) : parts_(std::move(parts)) {
  const Parts& p = parts_;
  const auto rows = static_cast<size_t>(p.rows);
  require(p.rows >= 1, "no rows");
  require(p.cells.size() == rows * kInverseRowCells * numerics::kPieceCoefficients, "wrong number of cells");
  require(p.cell_refs.size() == rows * kInverseRowCells, "wrong number of cell references");
  require(p.low.size() == rows && p.middle.size() == rows && p.high.size() == rows, "wrong number of end points");
  require(p.segment_start.size() == 2 * rows + 1, "wrong number of segment starts");
  require(p.segment_exponent.size() == p.segment_ref.size(), "segments of different lengths");
  require(p.nodes.size() % 8 == 0 && p.pieces.size() % numerics::kPieceCoefficients == 0 &&
              p.tail_pieces.size() % numerics::kTailPieceSize == 0,
          "a partial node or piece");
  const auto nodes = static_cast<int64_t>(p.nodes.size() / 8);
  const auto pieces = static_cast<int64_t>(p.pieces.size() / numerics::kPieceCoefficients);
  const auto tail_pieces = static_cast<int64_t>(p.tail_pieces.size() / numerics::kTailPieceSize);
  for (size_t i = 0; i < p.cell_refs.size(); ++i)
    if (p.cell_refs[i] < 0) require(-1 - int64_t{p.cell_refs[i]} < nodes, "a cell points outside the nodes");
    // A NaN sends the kernel to the reference, so it must be a node; the two sentinels are never followed.
    else if (static_cast<int>(i % (kInverseCells + 1)) != kInverseCells)
      for (int j = 0; j < numerics::kPieceCoefficients; ++j) {
        const double c = p.cells[i * numerics::kPieceCoefficients + j];
        require(c == c && c - c == 0.0, "a cell that is not finite");
      }
  for (int32_t ref : p.segment_ref)
    require(ref < 0 ? -1 - int64_t{ref} < nodes : ref < tail_pieces, "a segment points outside its table");
  // Forward references only: no cycle. Three bits a level, so the depth is bounded by the bits there are.
  std::vector<int> depth(static_cast<size_t>(nodes), 0);
  for (int64_t node = 0; node < nodes; ++node)
    for (int child = 0; child < 8; ++child) {
      const int32_t ref = p.nodes[static_cast<size_t>(8 * node + child)];
      if (ref >= 0) {
        require(ref < pieces, "a node points outside the pieces");
        continue;
      }
      const int64_t next = -1 - int64_t{ref};
      require(next > node && next < nodes, "a node points backwards or outside");
      int& d = depth[static_cast<size_t>(next)];
      d = std::max(d, depth[static_cast<size_t>(node)] + 1);
      require(d < 16, "nodes nested too deep");
    }
  require(p.segment_start.front() == 0 && p.segment_start.back() == static_cast<int64_t>(p.segment_ref.size()),
          "segments that do not cover their list");
  for (size_t i = 0; i < 2 * rows; ++i) require(p.segment_start[i] < p.segment_start[i + 1], "a tail without segments");
  view_ = {p.cells.data(),       p.cell_refs.data(), p.segment_start.data(), p.segment_exponent.data(),
           p.segment_ref.data(), p.nodes.data(),     p.pieces.data(),        p.tail_pieces.data(),
           p.low.data(),         p.middle.data(),    p.high.data()};
}

int64_t InverseTable::bytes() const {
  const Parts& p = parts_;
  return static_cast<int64_t>(8 * (p.cells.size() + p.pieces.size() + p.tail_pieces.size() + p.segment_start.size()) +
                              4 * (p.cell_refs.size() + 2 * p.segment_ref.size() + p.nodes.size()) + 24 * p.low.size());
}

int64_t InverseTable::evaluate(const double* u, double* out, int64_t n, bool complement, bool shared) const {
  if (n <= 0) return -1;
  const int64_t rows = parts_.rows;
  const InverseTableFn kernel = active_kernels().inverse_table;
  // A task is a stretch of one long row, or several short rows.
  const int64_t per_row = (n + kElements - 1) / kElements, rows_per_task = per_row > 1 ? 1 : std::max<int64_t>(1, kElements / n);
  const int64_t tasks = per_row > 1 ? rows * per_row : (rows + rows_per_task - 1) / rows_per_task;
  std::atomic<int64_t> bad{rows * n};
  parallel_for(tasks, 0, [&](int64_t task) {
    const int64_t first_row = per_row > 1 ? task / per_row : task * rows_per_task;
    const int64_t last_row = std::min(rows, first_row + rows_per_task);
    const int64_t begin = per_row > 1 ? task % per_row * kElements : 0, end = per_row > 1 ? std::min(n, begin + kElements) : n;
    for (int64_t row = first_row; row < last_row; ++row) {
      const int64_t at = kernel(view_, row, complement, u + (shared ? 0 : row * n) + begin, out + row * n + begin, end - begin);
      if (at < 0) continue;
      const int64_t index = (shared ? 0 : row * n) + begin + at;
      int64_t seen = bad.load();
      while (index < seen && !bad.compare_exchange_weak(seen, index)) {
      }
      return;
    }
  });
  return bad.load() < rows * n ? bad.load() : -1;
}

}  // namespace genfast
