// What a call of Model would run, without running it: for devices that take whole calls whose arrays lie there already. The room
// that registered the device knows the Program again and does the rest (cuda/decode/device_call.h); the engine never sees the
// arrays. Called by the bindings.
#pragma once
#include <memory>

#include "engine/backend.h"
#include "genfast/genfast.h"

namespace genfast {

// A call with everything but its rows. Options: conditions by name, null; known; what applies to all rows.
struct RowlessCall {
  Options options;
  bool draws = true;
  bool output = false;
  bool logits = false;          // all that is asked for
  int64_t shortest_prompt = 0;  // known in every row
};

// Plans, and prepares the plan for the model's device, at the first call for such a plan. Throws what Model's methods do.
std::shared_ptr<const Program> program_of(const Model& model, const RowlessCall& call);

}  // namespace genfast
