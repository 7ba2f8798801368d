// The arrays of a table of inverse distribution functions, for what evaluates them: kernels/inverse_table-inl.h on the CPU and
// cuda/sampling/ on a GPU. Plain data that says nothing about who owns it; numerics/inverse_table.h has the formulas.
#pragma once
#include <cstdint>

namespace genfast {

// Tables of inverse distribution functions, one a row: sampling/inverse_table.h owns and explains them. Every index is valid.
inline constexpr int kInverseOctaves = 10, kInverseCellBits = 3, kInverseCells = kInverseOctaves << kInverseCellBits;
inline constexpr int kInverseRowCells = 2 * (kInverseCells + 1);
struct InverseTableView {
  const double* cells;                // [rows][kInverseRowCells][8], 64-byte aligned: lower cells, NaNs, upper cells, NaNs
  const int32_t* cell_refs;           // [rows][kInverseRowCells]; of a cell that is NaN, its node as -1 - node
  const int64_t* segment_start;       // [2 * rows + 1]; lower tail, then upper tail of each row
  const int32_t* segment_exponent;    // first exponent of v that a segment covers, increasing
  const int32_t* segment_ref;         // tail piece, or -1 - node
  const int32_t* nodes;               // [8]: by three more bits of v, a piece, or -1 - node
  const double* pieces;               // [8] coefficients each
  const double* tail_pieces;          // [16] numbers each
  const double *low, *middle, *high;  // [rows]: x at u = 0, 1/2 and 1
};

}  // namespace genfast
