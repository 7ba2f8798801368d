#include "cuda/sampling/interpret.h"
#include "cuda/sampling/log_weights-inl.h"

namespace genfast {
namespace cuda {

void interpret_log_weights(const Place& place, const LogWeightArgs& args) { interpret<LogWeightsProgram>(place, args); }

}  // namespace cuda
}  // namespace genfast
