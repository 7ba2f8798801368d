#include "cuda/sampling/launch_rows.cuh"
#include "cuda/sampling/rows-inl.h"

namespace genfast {
namespace cuda {

void launch_rows(const Place& place, const RowArgs& args) {
  const int64_t most = attribute(place.device, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  of_kind(args.kind, [&](auto in) {
    using In = decltype(in);
    const RowPlan plan = plan_rows<In>(args.rows, args.columns, args.draws, most);
    launch_blocks<RowProgram<In>>(place, args, plan, row_blocks(args, plan), plan.rows * plan.row_bytes);
  });
}

}  // namespace cuda
}  // namespace genfast
