// How a launch over rows is shared out: how many rows a block of threads takes, and what of them it keeps in shared memory. On the
// host, once a launch; the results never depend on it.
#pragma once
#include "cuda/sampling/filter_shared.h"
#include "cuda/sampling/row_phases.h"

namespace genfast {
namespace cuda {

constexpr int64_t kMostMarks = 16384, kChunk = 2048, kSegments = 64;

// Marks for 262,144 categories, or what shared memory has room for beside the chunk and all else.
inline int64_t most_marks(int64_t shared_bytes) {
  const int64_t room = (shared_bytes - 32 * 1024) / 8;
  return room < 64 ? 64 : room < kMostMarks ? room : kMostMarks;
}

// As many categories staged as `bytes` of shared memory hold beside the rest, or all.
template <class In>
void stage(RowPlan& plan, int64_t columns, int64_t bytes) {
  using Stage = Elements<typename In::T>;
  plan.staged = 0;
  const int64_t room = bytes - RowShared<In>::bytes(plan);
  const int64_t blocks = room / (Stage::staged_size(kRowBlock) * static_cast<int64_t>(sizeof(typename In::T)));
  if (blocks > 0) plan.staged = blocks * kRowBlock < columns ? blocks * kRowBlock : columns;
  plan.row_bytes = RowShared<In>::bytes(plan);
}

// `shared_bytes`: what a block may have.
template <class In>
RowPlan plan_rows(int64_t rows, int64_t columns, int64_t draws, int64_t shared_bytes) {
  const int64_t blocks = (columns + kRowBlock - 1) / kRowBlock;
  const int64_t row_bytes = columns * static_cast<int64_t>(sizeof(typename In::T));
  RowPlan plan{};
  plan.chunk = kChunk;
  plan.unit = units(blocks, most_marks(shared_bytes));
  plan.marks = units(blocks, plan.unit);
  plan.segments = In::logits && plan.unit == 1 && blocks > kSegments ? kSegments : 0;
  // Two blocks of threads share a processor, so that one reads while the other computes (a block costs 1 KB beside its own). Rows
  // so long that all that are under way would not fit the L2 cache are taken one a processor, by twice the threads.
  const bool alone = row_bytes > 256 * 1024;
  plan.threads = alone ? kRowThreads : kRowThreads / 2;
  // An item for every 64 bytes or so of a row.
  plan.parts = 1;
  while (plan.parts < row_bytes / 64 && plan.parts < plan.threads) plan.parts *= 2;
  plan.rows = 1;
  stage<In>(plan, columns, alone ? shared_bytes : (shared_bytes - 1024) / 2);
  // Short rows go together while some blocks of threads still fit one processor, and every thread keeps its work.
  while (plan.rows < 64 && plan.rows < rows && 2 * plan.rows * plan.row_bytes <= 40 * 1024 && plan.rows * plan.parts < plan.threads)
    plan.rows *= 2;
  // Many draws of a row are shared out: reading it again costs less than waiting for one block of threads.
  plan.slice = draws;
  const int64_t worth = columns / 4 > 1024 ? columns / 4 : 1024;
  const int64_t groups = (rows + plan.rows - 1) / plan.rows;
  if (draws > worth && groups < 512) {
    const int64_t slices = draws / worth < 512 / groups ? draws / worth : 512 / groups;
    plan.slice = slices > 1 ? (draws + slices - 1) / slices : draws;
  }
  return plan;
}
inline int64_t row_blocks(const RowArgs& a, const RowPlan& plan) {
  return (a.rows + plan.rows - 1) / plan.rows * ((a.draws + plan.slice - 1) / plan.slice);
}

// One row at a time, by so many parts as fold_partials() wants.
template <class In>
RowPlan plan_filtered_rows(const RowArgs& a, int64_t shared_bytes) {
  RowPlan plan = plan_rows<In>(1, a.columns, 1, shared_bytes - 16 * 1024);
  plan.parts = plan.threads = kFilterThreads;
  plan.segments = 0;
  plan.slice = a.draws;
  stage<In>(plan, a.columns, shared_bytes - FilterShared::bytes(plan));
  return plan;
}

// visit(In()) for the kind of the rows; of_logits for those that are no weights.
template <class Visit>
void of_logits(RowKind kind, const Visit& visit) {
  switch (kind) {
    case RowKind::f64:
      return visit(LogitsF64());
    case RowKind::bf16:
      return visit(LogitsBf16());
    case RowKind::f16:
      return visit(LogitsF16());
    default:
      return visit(LogitsF32());
  }
}
template <class Visit>
void of_kind(RowKind kind, const Visit& visit) {
  if (kind == RowKind::weights_f32) return visit(WeightsF32());
  if (kind == RowKind::weights_f64) return visit(WeightsF64());
  of_logits(kind, visit);
}

}  // namespace cuda
}  // namespace genfast
