#include "cuda/sampling/launch.cuh"
#include "cuda/sampling/tables-inl.h"

namespace genfast {
namespace cuda {

void launch_inverse_table(const Place& place, const InverseTableArgs& args) {
  launch_on_grid<InverseTableProgram>(place, args, args.n);
}
void launch_guide_table(const Place& place, const GuideTableArgs& args) { launch_on_grid<GuideTableProgram>(place, args, args.n); }

}  // namespace cuda
}  // namespace genfast
