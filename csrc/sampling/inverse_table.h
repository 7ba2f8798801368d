// Inverse distribution functions as tables: F^-1 for one or many rows, evaluated without a search. Built by
// genfast/distributions/inversion/, which knows the densities; this room only checks the arrays and runs the kernel over threads.
//
// v = min(u, 1 - u) and the side of 1/2 that u lies on pick the table, so that both tails keep the full precision of u (or of 1 -
// u). The ten octaves from 2^-11 to 1/2 are cut into eight cells each, found by a shift of v's bits, each with a polynomial of
// degree 7 in the bits that are left. A cell in which one polynomial is not enough points to a node of eight smaller cells, and so
// on: a radix tree on the bits of v. Below 2^-11 a segment covers whole octaves with one polynomial in log2 v
// (numerics/inverse_table.h) or points to a node.
#pragma once
#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "kernels/kernels.h"

namespace genfast {

class InverseTable {
 public:
  // What the constructor takes, as arrays of the sizes that InverseTableView names.
  struct Parts {
    int64_t rows;
    AlignedBuffer<double> cells;
    std::vector<int32_t> cell_refs;
    std::vector<int64_t> segment_start;
    std::vector<int32_t> segment_exponent, segment_ref, nodes;
    std::vector<double> pieces, tail_pieces, low, middle, high;
  };
  // Throws ArgumentError when a size or an index is wrong, or a node does not lie behind the one that points to it.
  explicit InverseTable(Parts parts);

  int64_t rows() const { return parts_.rows; }
  int64_t bytes() const;
  // out[r][i] = F_r^-1(u[r][i]), or F_r^-1(1 - u[r][i]) if complement. With shared, every row reads the same n numbers u[i].
  // Returns the first index of u, in its own order, that is NaN or outside [0, 1] (out is then unspecified), or -1. out may be u.
  int64_t evaluate(const double* u, double* out, int64_t n, bool complement, bool shared) const;

 private:
  Parts parts_;
  InverseTableView view_;
};

}  // namespace genfast
