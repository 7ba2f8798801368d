#include "cuda/sampling/launch.cuh"
#include "cuda/sampling/log_weights-inl.h"

namespace genfast {
namespace cuda {

void launch_log_weights(const Place& place, const LogWeightArgs& args) { launch_on_grid<LogWeightsProgram>(place, args, args.n); }

}  // namespace cuda
}  // namespace genfast
