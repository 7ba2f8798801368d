// Rows of u(seed, row, site), eight Philox blocks at a time: the numbers of numerics/uniforms.h, bit for bit. Long stretches of
// a row take eight blocks of that row; what is left at its ends takes one block of eight rows. Included once per target.
#include "numerics/uniforms.h"

namespace genfast {
namespace GENFAST_NS {
namespace {

// A word is the low half of a 64-bit lane, and what the high half holds meanwhile does not matter: a product reads low halves.
GENFAST_INLINE f64x8 bits_in_all(uint64_t bits) { return f64x8(numerics::from_bits(bits)); }

// Lane i holds block kLaneBlock[i], which makes interleaving within 128 bits put the blocks into order.
constexpr uint64_t kLaneBlock[8] = {0, 4, 1, 5, 2, 6, 3, 7};

// base + step * kLaneBlock, in 64 bits.
GENFAST_INLINE f64x8 lane_counters(uint64_t base, uint64_t step) {
  double bits[8];
  for (int i = 0; i < 8; ++i) bits[i] = numerics::from_bits(base + step * kLaneBlock[i]);
  return f64x8::load(bits);
}

struct PhiloxKeys {
  double round[10][2];  // the bits of the two key words of each round

  explicit PhiloxKeys(uint64_t seed) {
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (auto& key : round) {
      key[0] = numerics::from_bits(uint64_t{key0});
      key[1] = numerics::from_bits(uint64_t{key1});
      key0 += 0x9E3779B9;
      key1 += 0xBB67AE85;
    }
  }
};

// The words of eight blocks in order, four a block: sixteen words in each half.
struct EightBlocks {
  f64x8 first, second;
};

GENFAST_INLINE EightBlocks philox_blocks(const PhiloxKeys& keys, f64x8 row, f64x8 block, uint32_t domain) {
  f64x8 c0 = row, c1 = bits_shr<32>(row), c2 = block;
  f64x8 c3 = bits_or(bits_shl<8>(bits_shr<32>(block)), uint64_t{domain});
  const f64x8 m0 = bits_in_all(0xD2511F53), m1 = bits_in_all(0xCD9E8D57);
#pragma GCC unroll 10
  for (int i = 0; i < 10; ++i) {
    const f64x8 p0 = bits_mul32(c0, m0), p1 = bits_mul32(c2, m1);
    c0 = bits_xor(bits_shr<32>(p1), c1, f64x8(keys.round[i][0]));
    c1 = p1;
    c2 = bits_xor(bits_shr<32>(p0), c3, f64x8(keys.round[i][1]));
    c3 = p0;
  }
  const uint64_t low = 0xffffffff;
  const f64x8 w01 = bits_or(bits_and(c0, low), bits_shl<32>(c1)), w23 = bits_or(bits_and(c2, low), bits_shl<32>(c3));
  return {interleave_even(w01, w23), interleave_odd(w01, w23)};
}

// (k + 1/2) 2^-52 as 1.k - (1 - 2^-53), and likewise in float. The subtraction is exact, so these are the bits of uniforms.h.
GENFAST_INLINE void store_uniforms(const EightBlocks& words, double* out) {
  const f64x8 below_one(1.0 - 0x1p-53);
  (bits_or(bits_shr<12>(words.first), uint64_t{0x3ff0000000000000}) - below_one).store(out);
  (bits_or(bits_shr<12>(words.second), uint64_t{0x3ff0000000000000}) - below_one).store(out + 8);
}
GENFAST_INLINE void store_uniforms(const EightBlocks& words, float* out) {
  const f32x16 below_one(1.0f - 0x1p-24f);
  (bits_or(bits_shr<9>(as_f32(words.first)), uint32_t{0x3f800000}) - below_one).store(out);
  (bits_or(bits_shr<9>(as_f32(words.second)), uint32_t{0x3f800000}) - below_one).store(out + 16);
}

template <class T>
void uniform_rows(T* out, int64_t stride, uint64_t seed, uint64_t first_row, int64_t rows, uint64_t first_site, int64_t sites) {
  constexpr int64_t kWidth = 16 / sizeof(T), kGroup = 8 * kWidth;  // sites of a block, and of eight
  constexpr uint32_t kDomain = sizeof(T) == sizeof(double) ? kUniformDomainF64 : kUniformDomainF32;
  const PhiloxKeys keys(seed);
  const uint64_t first_block = first_site / kWidth;
  const int64_t skip = static_cast<int64_t>(first_site % kWidth);
  // A row in sites, counted from the start of its first block: [skip, body), whole groups, [tail, end).
  const int64_t end = skip + sites, body = skip ? kWidth : 0;
  const int64_t groups = end > body ? (end - body) / kGroup : 0, tail = body + groups * kGroup;
  const int64_t head_blocks = skip ? 1 : 0, tail_blocks = end > tail ? (end - tail + kWidth - 1) / kWidth : 0;

  T numbers[kGroup];
  for (int64_t r = 0; r < rows; r += 8) {
    const int64_t together = rows - r < 8 ? rows - r : 8;
    for (int64_t i = 0; groups && i < together; ++i) {
      const f64x8 row = bits_in_all(first_row + static_cast<uint64_t>(r + i));
      f64x8 block = lane_counters(first_block + static_cast<uint64_t>(head_blocks), 1);
      T* to = out + (r + i) * stride + (body - skip);
      for (int64_t g = 0; g < groups; ++g) {
        store_uniforms(philox_blocks(keys, row, block, kDomain), to + g * kGroup);
        block = bits_add(block, uint64_t{8});
      }
    }
    if (head_blocks + tail_blocks <= together) {
      const f64x8 row = lane_counters(first_row + static_cast<uint64_t>(r), 1);
      for (int64_t k = 0; k < head_blocks + tail_blocks; ++k) {
        const int64_t start = k < head_blocks ? 0 : tail + (k - head_blocks) * kWidth;  // of the block, as above
        const uint64_t block = first_block + static_cast<uint64_t>(start / kWidth);
        store_uniforms(philox_blocks(keys, row, bits_in_all(block), kDomain), numbers);
        const int64_t from = start < skip ? skip : start, to = start + kWidth < end ? start + kWidth : end;
        T* column = out + r * stride + (from - skip);
        if (to - from == kWidth) {
          for (int64_t i = 0; i < together; ++i) memcpy(column + i * stride, numbers + i * kWidth, kWidth * sizeof(T));
        } else {
          for (int64_t i = 0; i < together; ++i)
            for (int64_t j = from; j < to; ++j) column[i * stride + (j - from)] = numbers[i * kWidth + (j - start)];
        }
      }
    } else {
      for (int64_t i = 0; i < together; ++i) {
        const f64x8 row = bits_in_all(first_row + static_cast<uint64_t>(r + i));
        T* to = out + (r + i) * stride;
        if (skip) {
          store_uniforms(philox_blocks(keys, row, bits_in_all(first_block), kDomain), numbers);
          for (int64_t j = skip; j < kWidth && j < end; ++j) to[j - skip] = numbers[j];
        }
        if (tail_blocks) {
          const f64x8 block = lane_counters(first_block + static_cast<uint64_t>(tail / kWidth), 1);
          store_uniforms(philox_blocks(keys, row, block, kDomain), numbers);
          memcpy(to + (tail - skip), numbers, static_cast<size_t>(end - tail) * sizeof(T));
        }
      }
    }
  }
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
