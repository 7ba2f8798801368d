#include "cuda/sampling/launch.cuh"
#include "cuda/sampling/uniforms-inl.h"

namespace genfast {
namespace cuda {

void launch_uniforms(const Place& place, const UniformArgs& args) {
  launch_on_grid<UniformProgram>(place, args, args.rows * args.sites);
}

}  // namespace cuda
}  // namespace genfast
