// Rows of a table picked by float indices. Called by run_program.h. An index outside the table is a failure, and gives zeros.
#pragma once
#include "base/weight_type.h"
#include "cuda/decode/program.h"

namespace genfast {
namespace cuda {

GENFAST_HD inline float table_element(const Program& program, const LookupCommand& lookup, int64_t row, int64_t element) {
  const uint8_t* table = program.data + lookup.table;
  switch (static_cast<WeightType>(lookup.type)) {
    case WeightType::bf16:
      return numerics::from_bits(static_cast<uint32_t>(reinterpret_cast<const Bf16*>(table)[element].bits) << 16);
    case WeightType::i8:
      return static_cast<float>(reinterpret_cast<const int8_t*>(table)[element]) * program.floats()[lookup.scales + row];
    default:
      return reinterpret_cast<const float*>(table)[element];
  }
}

// place: of the command in its step.
template <class Executor>
GENFAST_CALL void run_lookup(Executor& exec, const Block& b, const Command& command, int64_t step, int64_t place) {
  const LookupCommand& lookup = b.program.lookups[command.index];
  const int64_t columns = command.columns;
  exec.each(command.positions * b.rows * columns, [&](int64_t item) {
    const int64_t m = item / columns, i = m / b.rows, r = m % b.rows, c = item % columns;
    const float x = *b.read(lookup.index, i, r);
    // The first comparison also refuses NaN and everything too large to convert.
    const bool small = x >= 0.0f && x < static_cast<float>(lookup.rows);
    const int64_t row = small ? static_cast<int64_t>(x) : 0;
    const bool good = small && row < lookup.rows && static_cast<float>(row) == x;
    b.write(lookup.out, i, r)[c] = good ? table_element(b.program, lookup, row, row * columns + c) : 0.0f;
    if (!good && c == 0) b.fail(step, place, r);
  });
}

}  // namespace cuda
}  // namespace genfast
