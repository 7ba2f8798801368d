// How the weights of matrix products are packed and how their K indices are cut into fma chains (docs/format.md, "Gemm"): what the
// planner's pieces, every kernel and every device agree on. Constants and plain data only.
#pragma once
#include <cstdint>

namespace genfast {

inline constexpr int64_t kGemmChunk = 256;  // undropped K indices in one fma chain
inline constexpr int64_t kGemmBlock = 64;   // columns of a packed block

constexpr int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// One run of consecutive K indices that read consecutive channels of one source: a tap, or a slice of one.
struct GemmSegment {
  int64_t count;       // channels read
  int64_t weight_row;  // first row in the packed weights
  bool new_chunk;      // a 256-boundary of the undropped K index lies just before this segment: fold the chain here
};

}  // namespace genfast
