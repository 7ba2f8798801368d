// The number types that weights may have in a file and in memory (docs/format.md, "Reduced weights"). Shared by the reader, the
// planner, the engine and the kernels. Only names, sizes and exact widening to f32 live here; nothing is ever rounded.
#pragma once
#include <cstdint>
#include <cstring>

namespace genfast {

enum class WeightType : uint8_t { f32, bf16, i8, count };

// The upper half of an f32.
struct Bf16 {
  uint16_t bits;
  operator float() const {
    const uint32_t word = static_cast<uint32_t>(bits) << 16;
    float x;
    std::memcpy(&x, &word, sizeof x);
    return x;
  }
};
static_assert(sizeof(Bf16) == 2);

struct WeightTypeInfo {
  const char* name;   // for people
  const char* dtype;  // safetensors
  int bytes;
};
inline constexpr WeightTypeInfo kWeightTypes[] = {{"f32", "F32", 4}, {"bf16", "BF16", 2}, {"int8", "I8", 1}};
static_assert(sizeof kWeightTypes / sizeof kWeightTypes[0] == static_cast<int>(WeightType::count));
constexpr const WeightTypeInfo& info(WeightType type) { return kWeightTypes[static_cast<int>(type)]; }

// fn(data) with data as the pointer it is: const float*, const Bf16* or const int8_t*; what they point at converts to float.
template <class Fn>
auto visit_weights(const void* data, WeightType type, const Fn& fn) {
  switch (type) {
    case WeightType::bf16:
      return fn(static_cast<const Bf16*>(data));
    case WeightType::i8:
      return fn(static_cast<const int8_t*>(data));
    default:
      return fn(static_cast<const float*>(data));
  }
}

}  // namespace genfast
