#include "cuda/sampling/rows.h"

#include <algorithm>

#include "cuda/sampling/backend.h"
#include "cuda/sampling/kept_row.h"

namespace genfast {
namespace cuda {
namespace {

// Enough for the tests to give a slot several rows.
int64_t interpreted_slots(const Place&) { return 3; }

}  // namespace

int64_t filtered_slots(const Place& place, int64_t rows) {
  return std::min(rows, choose(place, interpreted_slots, GENFAST_LAUNCH(device_slots))(place));
}

int64_t filtered_bytes(RowKind kind, int64_t columns, int64_t slots) {
  return kind == RowKind::f64 ? slots * list_bytes<double>(columns) + kUnsureSlots * unsure_bytes<double>(columns)
                              : slots * list_bytes<float>(columns) + kUnsureSlots * unsure_bytes<float>(columns);
}

void sample_rows(const Place& place, const RowArgs& args) {
  (args.filtered ? choose(place, interpret_filtered_rows, GENFAST_LAUNCH(launch_filtered_rows))
                 : choose(place, interpret_rows, GENFAST_LAUNCH(launch_rows)))(place, args);
}

}  // namespace cuda
}  // namespace genfast
