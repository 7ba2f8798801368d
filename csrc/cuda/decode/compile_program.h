// Compiles a Plan into a device program. Called by decoder.cc, once a plan; it runs nothing and touches no device.
#pragma once
#include <memory>
#include <vector>

#include "cuda/decode/program.h"
#include "plan/plan.h"

namespace genfast {
namespace cuda {

// The arrays behind a Program.
struct ProgramArrays {
  std::vector<int32_t> places;
  std::vector<uint8_t> data;
  std::vector<Segment> segments;
  std::vector<TensorStep> tensor_steps;
  std::vector<Piece> pieces;
  std::vector<Pointwise> chain;
  std::vector<GemmCommand> gemms;
  std::vector<CopyBlock> blocks;
  std::vector<CopyCommand> copies;
  std::vector<RowCommand> rows;
  std::vector<LookupCommand> lookups;
  std::vector<AttendCommand> attends;
  std::vector<Command> commands;
  std::vector<StepCommands> steps;
  std::vector<Site> sites;
  std::vector<ConditionInfo> conditions;
  std::vector<StateInfo> states;
  Program program{};                  // all but the pointers
  std::vector<int32_t> lookup_nodes;  // [lookup] for messages
  int64_t floats_per_row = 0;         // of the arena
  int64_t scratch_floats = 0;         // the least a block needs; a multiple of 4, as is what a row wants
  int64_t wanted_scratch = 0;         // what a row can use at most, beyond which more does not help
  int64_t multiply_adds = 0;          // of one row, all steps once
};

// f32 keeps the CPU's bits; fast multiplies matrices in bf16 with f32 sums.
enum class Precision { f32, fast };

// Throws UnsupportedOpError where the plan passes what a program can address.
std::unique_ptr<ProgramArrays> compile_program(const Graph& graph, const Plan& plan, Precision precision);

}  // namespace cuda
}  // namespace genfast
