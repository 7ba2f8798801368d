#include "cuda/sampling/interpret.h"
#include "cuda/sampling/tables-inl.h"

namespace genfast {
namespace cuda {

void interpret_inverse_table(const Place& place, const InverseTableArgs& args) { interpret<InverseTableProgram>(place, args); }
void interpret_guide_table(const Place& place, const GuideTableArgs& args) { interpret<GuideTableProgram>(place, args); }

}  // namespace cuda
}  // namespace genfast
