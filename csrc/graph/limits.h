// The limits of docs/format.md ("Limits a reader enforces"), and those that keep the reader itself from being made to work for
// ever. Chosen so that products of any two of them, and all sums the reader makes, fit an int64.
#pragma once
#include <cstddef>
#include <cstdint>

namespace genfast {

inline constexpr int kVersion = 1;
inline constexpr int64_t kFileAlignment = 64;

inline constexpr int64_t kMaxValues = int64_t{1} << 20;
inline constexpr int64_t kMaxNodes = int64_t{1} << 20;
inline constexpr int64_t kMaxPositions = int64_t{1} << 24;
inline constexpr int64_t kMaxChannels = int64_t{1} << 20;
inline constexpr int64_t kMaxElements = int64_t{1} << 28;  // positions × channels
inline constexpr int64_t kMaxLevels = int64_t{1} << 20;
inline constexpr int64_t kMaxReads = int64_t{1} << 30;   // Σ over nodes of max(1, sources) × positions
inline constexpr int64_t kMaxScores = int64_t{1} << 30;  // Σ over attend nodes of positions × keys
inline constexpr int64_t kMaxComponents = 256;
inline constexpr int64_t kMaxRounds = 1000000;

inline constexpr int64_t kMaxBytes = int64_t{1} << 50;
inline constexpr uint64_t kMaxHeader = uint64_t{64} << 20;
inline constexpr size_t kMaxGraphText = size_t{256} << 20;
inline constexpr int64_t kMaxTables = int64_t{1} << 20;
inline constexpr int64_t kMaxTableEntries = int64_t{1} << 28;  // of all tables together, grids expanded
inline constexpr int64_t kMaxGemmRows = int64_t{1} << 30;      // undropped K
inline constexpr int64_t kMaxInteger = int64_t{1} << 24;       // lookup rows, sizes of conditions: exact as an f32
inline constexpr int64_t kMaxDimensions = 8;

}  // namespace genfast
