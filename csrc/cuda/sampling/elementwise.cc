#include "cuda/sampling/elementwise.h"

#include "cuda/sampling/backend.h"

namespace genfast {
namespace cuda {

void evaluate(const Place& place, const ElementwiseArgs& args) {
  using Group = bool (*)(const Place&, const ElementwiseArgs&);
  constexpr Group groups[][2] = {{interpret_closed_form, GENFAST_LAUNCH(launch_closed_form)},
                                 {interpret_gamma, GENFAST_LAUNCH(launch_gamma)},
                                 {interpret_beta, GENFAST_LAUNCH(launch_beta)},
                                 {interpret_discrete, GENFAST_LAUNCH(launch_discrete)},
                                 {interpret_circular, GENFAST_LAUNCH(launch_circular)}};
  for (const Group* group : groups)
    if (choose(place, group[0], group[1])(place, args)) return;
}

void fill_uniforms(const Place& place, const UniformArgs& args) {
  choose(place, interpret_uniforms, GENFAST_LAUNCH(launch_uniforms))(place, args);
}

void log_weights(const Place& place, const LogWeightArgs& args) {
  choose(place, interpret_log_weights, GENFAST_LAUNCH(launch_log_weights))(place, args);
}

}  // namespace cuda
}  // namespace genfast
