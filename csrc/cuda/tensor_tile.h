// Sixteen rows by some columns of eight, multiplied in bf16 and added in f32: what the fast mode's matrix products are made of. On
// the GPU a warp's tensor cores (mma.m16n8k16, PTX ISA), on the host a loop that rounds likewise and adds in rising k; a tensor
// core's own order of sixteen additions is not specified, so that the two agree closely and not in every bit.
#pragma once
#include <cstdint>
#include <cstring>

#include "numerics/lane.h"

namespace genfast {
namespace cuda {

constexpr int kTileRows = 16, kTileWidth = 8, kTileDepth = 16, kWarp = 32;
// bf16 weights of one k step and one tile of columns, as the lanes of a warp hold them: lane 4 (n % 8) + k / 2 % 4 has k % 2 and k
// / 8.
constexpr int64_t kTileWeights = kTileWidth * kTileDepth;
GENFAST_INLINE int64_t tile_weight(int64_t k, int64_t n) { return (n * 4 + k / 2 % 4) * 4 + k / 8 * 2 + k % 2; }

// Where a lane's numbers of the other two operands lie: register r of the left one, a pair of neighbouring k, and sum e.
GENFAST_INLINE int left_row(int lane, int r) { return lane / 4 + r % 2 * 8; }
GENFAST_INLINE int left_depth(int lane, int r) { return lane % 4 * 2 + r / 2 * 8; }
GENFAST_INLINE int sum_row(int lane, int e) { return left_row(lane, e / 2); }
GENFAST_INLINE int sum_column(int lane, int e) { return lane % 4 * 2 + e % 2; }

// The nearest bf16, ties to even; a NaN stays one.
GENFAST_INLINE uint16_t to_bf16(float x) {
  const uint32_t bits = numerics::to_bits(x);
  if (!(x == x)) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
GENFAST_INLINE float from_bf16(uint16_t x) { return numerics::from_bits(static_cast<uint32_t>(x) << 16); }

template <int tiles>
class HostTile {
 public:
  // Rows that the caller answers for, by their number r here: all sixteen on the host, two a lane on the GPU.
  static constexpr int kOwnRows = kTileRows;
  int own_row(int r) const { return r; }

  HostTile() { std::memset(sum_, 0, sizeof sum_); }

  // Steps j < most, in their order, of k < count(j) each. start(j, r, place(j, r)): where own row r's channels of the step start,
  // or null. weights: of the tiles of step 0, one after another; those of step j are `stride` further each.
  template <int most, class Place, class Start, class Count>
  void steps(const Place& place, const Start& start, const Count& count, const uint16_t* weights, int64_t stride) {
    for (int j = 0; j < most; ++j, weights += stride)
      for (int i = 0; i < kTileRows; ++i) {
        const float* x = start(j, i, place(j, i));
        if (!x) continue;
        for (int64_t n = 0; n < tiles * kTileWidth; ++n)
          for (int64_t k = 0; k < count(j); ++k)
            sum_[i][n] =
                numerics::fma(from_bf16(to_bf16(x[k])),
                              from_bf16(weights[n / kTileWidth * kTileWeights + tile_weight(k, n % kTileWidth)]), sum_[i][n]);
      }
  }
  // f(own row, column, sum) for every element of the caller's rows.
  template <class F>
  void each(const F& f) const {
    for (int i = 0; i < kTileRows; ++i)
      for (int64_t n = 0; n < tiles * kTileWidth; ++n) f(i, n, sum_[i][n]);
  }

 private:
  float sum_[kTileRows][tiles * kTileWidth];
};

#if defined(__CUDACC__)
// To be used by all lanes of a warp together.
template <int tiles>
class WarpTile {
 public:
  static constexpr int kOwnRows = 2;
  __device__ int own_row(int r) const { return left_row(lane_, r); }

  __device__ WarpTile() : lane_(threadIdx.x % kWarp) {
    for (int j = 0; j < tiles; ++j)
      for (int e = 0; e < 4; ++e) sum_[j][e] = 0.0f;
  }

  // All steps' loads of a kind before those that need them.
  template <int most, class Place, class Start, class Count>
  __device__ void steps(const Place& place, const Start& start, const Count& count, const uint16_t* weights, int64_t stride) {
    int32_t places[most][2];
    const float* rows[most][2];
    uint32_t a[most][4];
#pragma unroll
    for (int j = 0; j < most; ++j)
      for (int r = 0; r < 2; ++r) places[j][r] = place(j, r);
#pragma unroll
    for (int j = 0; j < most; ++j)
      for (int r = 0; r < 2; ++r) rows[j][r] = start(j, r, places[j][r]);
#pragma unroll
    for (int j = 0; j < most; ++j)
      for (int r = 0; r < 4; ++r) a[j][r] = pair(rows[j][r % 2], left_depth(lane_, r), count(j));
#pragma unroll
    for (int j = 0; j < most; ++j)
      if (__any_sync(~0u, rows[j][0] || rows[j][1])) multiply(a[j], reinterpret_cast<const uint2*>(weights + j * stride) + lane_);
  }
  template <class F>
  __device__ void each(const F& f) const {
    for (int j = 0; j < tiles; ++j)
      for (int e = 0; e < 4; ++e) f(e / 2, j * kTileWidth + sum_column(lane_, e), sum_[j][e]);
  }

 private:
  __device__ void multiply(const uint32_t (&a)[4], const uint2* weights) {
    for (int j = 0; j < tiles; ++j) {
      const uint2 w = weights[j * kWarp];
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
          : "+f"(sum_[j][0]), "+f"(sum_[j][1]), "+f"(sum_[j][2]), "+f"(sum_[j][3])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(w.x), "r"(w.y));
    }
  }
  static __device__ uint32_t pair(const float* x, int64_t k, int64_t count) {
    const float low = x && k < count ? x[k] : 0.0f, high = x && k + 1 < count ? x[k + 1] : 0.0f;
    return static_cast<uint32_t>(to_bf16(high)) << 16 | to_bf16(low);
  }

  const int lane_;
  float sum_[tiles][4];
};
#endif

}  // namespace cuda
}  // namespace genfast
