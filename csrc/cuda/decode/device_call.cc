#include "cuda/decode/device_call.h"

#include <algorithm>
#include <vector>

#include "base/errors.h"
#include "cuda/decode/loaded_program.h"

namespace genfast {
namespace cuda {
namespace {

const LoadedProgram& loaded(const genfast::Program& program) {
  const auto* made_here = dynamic_cast<const DeviceProgram*>(&program);
  if (!made_here) throw DeviceError("this model runs on another device than the one its arrays are on");
  return made_here->loaded();
}

constexpr int64_t kAlignment = 256;
int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// How a call is cut, and what of its workspace is whose: in bytes, each aligned.
struct Layout {
  int64_t tile_rows;
  Shape shape;
  int64_t arena, scratch, filtered, failure, slots;
  int64_t bytes() const { return kAlignment + arena + scratch + filtered + failure; }

  Layout(const LoadedProgram& program, const DeviceCall& call) {
    const int64_t most = std::min(program.machine->call_rows(*program.host), kMostRows) / 2 * 2;
    const int64_t tiles = (call.rows + std::max<int64_t>(2, most) - 1) / std::max<int64_t>(2, most);
    tile_rows = (call.rows + tiles - 1) / tiles;
    shape = program.machine->shape(*program.host, tile_rows);
    // Guidance joins pairs of rows.
    if (call.guided()) {
      tile_rows += tile_rows % 2;
      shape.block_rows += shape.block_rows % 2;
    }
    const int64_t blocks = (tile_rows + shape.block_rows - 1) / shape.block_rows;
    arena = aligned(4 * (blocks * shape.block_rows * program.host->floats_per_row + 16));
    scratch = aligned(4 * (blocks * shape.scratch_floats + 16));
    slots = call.filtered() ? program.filter_slots(blocks, shape.block_rows) : 0;
    filtered = aligned(slots ? program.filter_bytes(blocks, slots) : 0);
    failure = aligned(8 * tile_rows);
  }
};

// The arrays of the rows from `begin` on.
TileArrays from_row(const LoadedProgram& program, const TileArrays& all, int64_t begin) {
  TileArrays arrays = all;
  const auto move = [&](auto& pointer, int64_t each) {
    if (pointer) pointer += begin * each;
  };
  move(arrays.u, 1);
  move(arrays.levels, 1);
  move(arrays.x, 1);
  move(arrays.given, 1);
  move(arrays.log_prob, 1);
  move(arrays.lower, 1);
  move(arrays.upper, 1);
  move(arrays.good, 1);
  move(arrays.row_log_prob, 1);
  move(arrays.rolls, 2);
  move(arrays.conditions, program.program.condition_floats);
  move(arrays.logits, program.logits_size());
  move(arrays.output, program.output_size());
  arrays.first_row += static_cast<uint64_t>(all.guidance != 1.0f ? begin / 2 : begin);
  return arrays;
}

// The step behind the last that draws a site of a rank below `end`.
int64_t last_step(const LoadedProgram& program, const DeviceCall& call) {
  const Plan& plan = *program.plan;
  if (call.arrays.output) return plan.body >= 0 ? plan.body : static_cast<int64_t>(plan.steps.size());
  std::vector<int64_t> rank(static_cast<size_t>(program.graph->sites()));
  for (size_t k = 0; k < rank.size(); ++k) rank[static_cast<size_t>(program.graph->order[k])] = static_cast<int64_t>(k);
  int64_t last = 0;
  for (size_t step = 0; step < plan.steps.size(); ++step)
    for (const int32_t site : plan.steps[step].sites)
      if (rank[static_cast<size_t>(site)] < call.end) last = static_cast<int64_t>(step) + 1;
  return last;
}

}  // namespace

DeviceSizes device_sizes(const genfast::Program& program) {
  const LoadedProgram& p = loaded(program);
  const int64_t levels = p.graph->head.has_levels() ? p.graph->head.levels : 0;
  const int64_t rounds = p.plan->body >= 0 ? p.graph->iteration.rounds : 0;
  return {p.machine->device(), p.graph->sites(), levels, p.program.condition_floats,
          p.logits_size(),     p.output_size(),  rounds, p.graph->iteration.jitter};
}

int64_t workspace_bytes(const genfast::Program& program, const DeviceCall& call) { return Layout(loaded(program), call).bytes(); }

void enqueue(const genfast::Program& program, const DeviceCall& call) {
  const LoadedProgram& p = loaded(program);
  const Layout layout(p, call);
  if (call.workspace_bytes < layout.bytes()) throw ArgumentError("the workspace is too small");
  auto* memory = reinterpret_cast<uint8_t*>(aligned(reinterpret_cast<intptr_t>(call.workspace)));
  Launch launch{};
  launch.program = p.program;
  launch.shape = layout.shape;
  launch.floats_per_row = p.host->floats_per_row;
  launch.arena = reinterpret_cast<float*>(memory);
  launch.scratch = reinterpret_cast<float*>(memory + layout.arena);
  launch.failure = reinterpret_cast<uint64_t*>(memory + layout.arena + layout.scratch + layout.filtered);

  const bool iterates = call.arrays.output && p.plan->body >= 0;
  const int64_t last = last_step(p, call), rounds = iterates ? p.graph->iteration.rounds : 0;
  for (int64_t begin = 0; begin < call.rows; begin += layout.tile_rows) {
    launch.rows = std::min(layout.tile_rows, call.rows - begin);
    launch.tile = from_row(p, call.arrays, begin);
    if (layout.slots) {
      launch.tile.filtered = reinterpret_cast<char*>(memory + layout.arena + layout.scratch);
      launch.tile.filter_slots = layout.slots;
    }
    const int32_t* rolls = launch.tile.rolls;
    launch.tile.rolls = nullptr;
    int64_t first = 0;
    bool fresh = true;
    do {
      const int64_t until = std::min(last, first + kStepsAtOnce);
      launch.work = {fresh, static_cast<int32_t>(first), static_cast<int32_t>(until), 0, until == last && !iterates};
      p.machine->launch(launch, call.stream);
      first = until;
      fresh = false;
    } while (first < last);
    for (int64_t round = 0; round < rounds; ++round) {
      if (rolls) launch.tile.rolls = rolls + 2 * round * call.rows;
      const auto body = static_cast<int32_t>(p.plan->body);
      launch.work = {false, body, body + 1, static_cast<int32_t>(round), round + 1 == rounds};
      p.machine->launch(launch, call.stream);
    }
  }
}

}  // namespace cuda
}  // namespace genfast
