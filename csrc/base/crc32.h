// CRC-32 as zlib and PNG define it, eight bytes a step, for the checksum of .genfast files. Called by graph/ when it reads one.
// It guards against damage, not against malice: a checksummed file is still validated.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace genfast {
namespace detail {

constexpr std::array<std::array<uint32_t, 256>, 8> make_crc32_tables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0u);
    tables[0][i] = crc;
  }
  for (size_t slice = 1; slice < 8; ++slice)
    for (size_t i = 0; i < 256; ++i) tables[slice][i] = (tables[slice - 1][i] >> 8) ^ tables[0][tables[slice - 1][i] & 0xFF];
  return tables;
}
inline constexpr auto kCrc32Tables = make_crc32_tables();

}  // namespace detail

// `previous` is the result for the bytes before these, so pieces can be chained.
inline uint32_t crc32(const void* data, size_t size, uint32_t previous = 0) {
  const auto& t = detail::kCrc32Tables;
  const auto* p = static_cast<const unsigned char*>(data);
  const auto word = [](const unsigned char* b) {
    return uint32_t{b[0]} | uint32_t{b[1]} << 8 | uint32_t{b[2]} << 16 | uint32_t{b[3]} << 24;
  };
  uint32_t crc = ~previous;
  for (; size >= 8; size -= 8, p += 8) {
    const uint32_t low = word(p) ^ crc, high = word(p + 4);
    crc = t[7][low & 0xFF] ^ t[6][low >> 8 & 0xFF] ^ t[5][low >> 16 & 0xFF] ^ t[4][low >> 24] ^ t[3][high & 0xFF] ^
          t[2][high >> 8 & 0xFF] ^ t[1][high >> 16 & 0xFF] ^ t[0][high >> 24];
  }
  for (; size; --size) crc = (crc >> 8) ^ t[0][(crc ^ *p++) & 0xFF];
  return ~crc;
}

}  // namespace genfast
