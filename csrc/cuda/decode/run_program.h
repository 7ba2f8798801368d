// The step code: a device program run by an executor for the rows of one block, from the first step asked for to the last. The same
// lines run on the GPU (launch.cu), for one block or a whole grid, and on the host (emulated_machine.cc). It allocates nothing;
// what goes wrong is noted in Block::failure, and the numbers behind it are garbage, but in their places.
#pragma once
#include "cuda/decode/attend.h"
#include "cuda/decode/family_head.h"
#include "cuda/decode/gemm.h"
#include "cuda/decode/logistic_mixture_head.h"
#include "cuda/decode/logits_head.h"
#include "cuda/decode/lookup.h"
#include "cuda/decode/pointwise.h"
#include "cuda/decode/program.h"
#include "cuda/decode/row_ops.h"
#include "cuda/decode/sites.h"
#include "cuda/decode/stage.h"
#include "cuda/decode/states.h"
#include "cuda/decode/unchecked.h"

namespace genfast {
namespace cuda {

template <class Executor>
GENFAST_HD void run_command(Executor& exec, const Block& b, const Command& command, int64_t step, int64_t place) {
  if (b.stage) {
    if (command.kind == Command::Kind::gemm) wait_for_stage(exec, b);
    fetch_next(exec, b, command);
  }
  switch (command.kind) {
    case Command::Kind::gemm:
      return run_gemm(exec, b, command);
    case Command::Kind::map:
      return run_map(exec, b, command);
    case Command::Kind::copy:
      return run_copy(exec, b, command);
    case Command::Kind::row:
      return run_row(exec, b, command);
    case Command::Kind::lookup:
      return run_lookup(exec, b, command, step, place);
    case Command::Kind::attend:
      return run_attend(exec, b, command);
  }
}

template <class Executor>
GENFAST_HD void run_head(Executor& exec, const Block& b, const Site* sites, int64_t n_sites, int64_t step, int64_t place) {
  switch (b.program.head.kind) {
    case HeadKind::categorical:
      return run_categorical(exec, b, sites, n_sites, step, place);
    case HeadKind::bernoulli:
      return run_bernoulli(exec, b, sites, n_sites, step, place);
    case HeadKind::logistic_mixture:
      return run_logistic_mixture(exec, b, sites, n_sites, step, place);
    case HeadKind::family:
      return run_family(exec, b, sites, n_sites, step, place);
    case HeadKind::none:
      return;
  }
}

template <class Executor>
GENFAST_HD void run_step(Executor& exec, const Block& b, int64_t step) {
  const StepCommands& commands = b.program.steps[step];
  for (int64_t k = 0; k < commands.n_commands; ++k) run_command(exec, b, b.program.commands[commands.commands + k], step, k);
  if (commands.n_sites == 0) return;
  const Site* sites = b.program.sites + commands.sites;
  run_head(exec, b, sites, commands.n_sites, step, commands.n_commands);
  if (b.tile.logits) copy_logits(exec, b, sites, commands.n_sites);
  const bool numbers = b.program.head.kind == HeadKind::family;
  feed_sites(exec, b, sites, commands.n_sites, [&](int64_t i, int64_t r) {
    if (numbers) note_parameters(b, sites[i], step, commands.n_commands + i, r);
  });
}

template <class Executor>
GENFAST_HD void run_work(Executor& exec, const Block& b, const Work& work) {
  if (b.stage) load_resident(exec, b);
  if (work.begin) {
    if (b.tile.counted) make_uniforms(exec, b);
    if (b.tile.good) check_rows(exec, b);
    place_conditions(exec, b);
    fill_states(exec, b);
    feed_sites(exec, b, b.program.sites, b.program.n_known, [](int64_t, int64_t) {});
  }
  for (int64_t step = work.first; step < work.last; ++step) {
    const bool body = step == b.program.body;
    if (body && b.tile.rolls && b.tile.good) check_rolls(exec, b);
    if (body && b.tile.rolls) roll_states(exec, b);
    run_step(exec, b, step);
    if (body) advance_states(exec, b, work.round);
  }
  // No block ends while copies still arrive in its memory.
  if (b.stage) wait_for_stage(exec, b);
  if (work.finish && b.tile.output) write_output(exec, b);
  if (work.finish && b.tile.good) close_rows(exec, b);
}

}  // namespace cuda
}  // namespace genfast
