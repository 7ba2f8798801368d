#include "cuda/sampling/interpret.h"
#include "cuda/sampling/uniforms-inl.h"

namespace genfast {
namespace cuda {

void interpret_uniforms(const Place& place, const UniformArgs& args) { interpret<UniformProgram>(place, args); }

}  // namespace cuda
}  // namespace genfast
