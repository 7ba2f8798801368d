#include <cstring>
#include <vector>

#include "base/float_env.h"
#include "cuda/on_host.h"
#include "cuda/sampling/filters-inl.h"
#include "cuda/sampling/row_plan.h"
#include "cuda/sampling/rows-inl.h"

namespace genfast {
namespace cuda {
namespace {

struct alignas(16) Sixteen {
  char bytes[16];
};

// Blocks of threads one after the other, in the order of the place's items too; each finds garbage in its shared memory.
template <class Program>
void interpret_blocks(const Place& place, const RowArgs& args, const RowPlan& plan, int64_t blocks, int64_t bytes) {
  const IeeeFloatScope scope;
  HostExecutor grid(place.order);
  std::vector<Sixteen> memory(static_cast<size_t>((bytes + 15) / 16));
  grid.each(blocks, [&](int64_t block) {
    std::memset(memory.data(), 0xff, 16 * memory.size());
    on_host(place.order, 1, [&](auto& executor) { Program::run(executor, args, plan, block, blocks, memory.data()->bytes); });
  });
}

}  // namespace

void interpret_rows(const Place& place, const RowArgs& args) {
  of_kind(args.kind, [&](auto in) {
    using In = decltype(in);
    const RowPlan plan = plan_rows<In>(args.rows, args.columns, args.draws, place.shared_bytes);
    interpret_blocks<RowProgram<In>>(place, args, plan, row_blocks(args, plan), plan.rows * plan.row_bytes);
  });
}

void interpret_filtered_rows(const Place& place, const RowArgs& args) {
  of_logits(args.kind, [&](auto in) {
    using In = decltype(in);
    const RowPlan plan = plan_filtered_rows<In>(args, place.shared_bytes);
    const int64_t bytes = plan.row_bytes + FilterShared::bytes(plan);
    interpret_blocks<FilterProgram<In, false>>(place, args, plan, args.slots, bytes);
    interpret_blocks<FilterProgram<In, true>>(place, args, plan, kUnsureSlots, bytes);
  });
}

int64_t row_shared_bytes(RowKind kind, bool filtered, int64_t rows, int64_t columns, int64_t draws, int64_t shared_bytes) {
  int64_t bytes = 0;
  if (filtered) {
    RowArgs args{};
    args.columns = columns;
    args.draws = draws;
    of_logits(kind, [&](auto in) {
      const RowPlan plan = plan_filtered_rows<decltype(in)>(args, shared_bytes);
      bytes = plan.row_bytes + FilterShared::bytes(plan);
    });
  } else {
    of_kind(kind, [&](auto in) {
      const RowPlan plan = plan_rows<decltype(in)>(rows, columns, draws, shared_bytes);
      bytes = plan.rows * plan.row_bytes;
    });
  }
  return bytes;
}

}  // namespace cuda
}  // namespace genfast
