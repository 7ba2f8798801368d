#include "cuda/sampling/tables.h"

#include "cuda/sampling/backend.h"

namespace genfast {
namespace cuda {

void invert(const Place& place, const InverseTableArgs& args) {
  choose(place, interpret_inverse_table, GENFAST_LAUNCH(launch_inverse_table))(place, args);
}

void look_up(const Place& place, const GuideTableArgs& args) {
  choose(place, interpret_guide_table, GENFAST_LAUNCH(launch_guide_table))(place, args);
}

}  // namespace cuda
}  // namespace genfast
