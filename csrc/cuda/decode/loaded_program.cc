#include "cuda/decode/loaded_program.h"

#include <type_traits>

#include "cuda/decode/kept_levels.h"

namespace genfast {
namespace cuda {
namespace {

// The most that filters may take for all rows, but for the least they need.
constexpr int64_t kFilterBytes = int64_t{1} << 28;

}  // namespace

LoadedProgram::LoadedProgram(std::shared_ptr<Machine> on, std::shared_ptr<const Graph> of, std::shared_ptr<const Plan> by,
                             Precision precision)
    : machine(std::move(on)),
      graph(std::move(of)),
      plan(std::move(by)),
      host(compile_program(*graph, *plan, precision)),
      program(host->program) {
  const std::unique_ptr<Queue> queue = machine->queue();
  const auto load = [&](auto& pointer, const auto& array) {
    using T = typename std::decay_t<decltype(array)>::value_type;
    memory.emplace_back(machine, std::max<size_t>(1, array.size()) * sizeof(T), "the model's weights and program");
    if (!array.empty()) queue->upload(memory.back().data(), array.data(), array.size() * sizeof(T));
    pointer = reinterpret_cast<const T*>(memory.back().data());
  };
  load(program.places, host->places);
  load(program.data, host->data);
  load(program.segments, host->segments);
  load(program.tensor_steps, host->tensor_steps);
  load(program.pieces, host->pieces);
  load(program.chain, host->chain);
  load(program.gemms, host->gemms);
  load(program.blocks, host->blocks);
  load(program.copies, host->copies);
  load(program.rows, host->rows);
  load(program.lookups, host->lookups);
  load(program.attends, host->attends);
  load(program.commands, host->commands);
  load(program.steps, host->steps);
  load(program.sites, host->sites);
  load(program.conditions, host->conditions);
  load(program.states, host->states);
  // Waits for the copies before their sources go.
  uint8_t last;
  queue->download(&last, memory.back().data(), 1);
  host->data = {};
}

int64_t LoadedProgram::output_size() const {
  if (graph->output.value < 0) return 0;
  const Value& value = graph->values[static_cast<size_t>(graph->output.value)];
  return value.positions * value.channels;
}

int64_t LoadedProgram::logits_size() const {
  const int64_t places = graph->head.by_position() ? graph->positions() : graph->sites();
  return places * head_channels(graph->head, graph->channels());
}

int64_t LoadedProgram::filter_slots(int64_t blocks, int64_t block_rows) const {
  int64_t most = 0;
  for (const StepCommands& step : host->steps) most = std::max<int64_t>(most, step.n_sites);
  return std::clamp<int64_t>(kFilterBytes / filter_bytes(blocks, 1), 1, std::max<int64_t>(1, most * block_rows));
}

int64_t LoadedProgram::filter_bytes(int64_t blocks, int64_t slots) const {
  return blocks * slots * KeptLevels::bytes(graph->head.levels);
}

}  // namespace cuda
}  // namespace genfast
