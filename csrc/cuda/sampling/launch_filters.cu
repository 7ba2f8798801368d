#include "cuda/sampling/filters-inl.h"
#include "cuda/sampling/launch_rows.cuh"

namespace genfast {
namespace cuda {

int64_t device_slots(const Place& place) { return 2 * attribute(place.device, cudaDevAttrMultiProcessorCount); }

void launch_filtered_rows(const Place& place, const RowArgs& args) {
  const int64_t most = attribute(place.device, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  of_logits(args.kind, [&](auto in) {
    using In = decltype(in);
    const RowPlan plan = plan_filtered_rows<In>(args, most);
    const int64_t bytes = plan.row_bytes + FilterShared::bytes(plan);
    launch_blocks<FilterProgram<In, false>>(place, args, plan, args.slots, bytes);
    launch_blocks<FilterProgram<In, true>>(place, args, plan, kUnsureSlots, bytes);
  });
}

}  // namespace cuda
}  // namespace genfast
