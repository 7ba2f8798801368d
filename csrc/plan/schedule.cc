#include "plan/schedule.h"

#include <algorithm>

#include "plan/visible.h"

namespace genfast {
namespace {

// Greedy deadline stabbing: at the earliest deadline left, compute everything ready by then.
void stab(const std::vector<int32_t>& ready, const std::vector<int32_t>& due, std::vector<int32_t>& step) {
  std::vector<int32_t> by_due;
  for (size_t p = 0; p < due.size(); ++p)
    if (due[p] < kNever) by_due.push_back(static_cast<int32_t>(p));
  std::vector<int32_t> by_ready = by_due;
  std::sort(by_due.begin(), by_due.end(), [&](int32_t a, int32_t b) { return due[a] < due[b]; });
  std::sort(by_ready.begin(), by_ready.end(), [&](int32_t a, int32_t b) { return ready[a] < ready[b]; });
  size_t taken = 0;
  for (int32_t p : by_due) {
    if (step[p] != kDead) continue;
    for (; taken < by_ready.size() && ready[by_ready[taken]] <= due[p]; ++taken) step[by_ready[taken]] = due[p];
  }
}

class Schedule {
 public:
  Schedule(const Graph& graph, const Structure& s, const Readiness& r)
      : graph_(graph), s_(s), r_(r), due_(s.rows.size()), step_(s.rows.size()) {
    for (size_t row = 0; row < due_.size(); ++row) {
      due_[row].assign(s.rows[row].positions, kNever);
      step_[row].assign(s.rows[row].positions, kDead);
    }
  }

  PerRow run(bool output) {
    for (int32_t draw : r_.draws)
      for (int row : s_.head) {
        int32_t& due = due_[row][graph_.head_position(draw)];
        due = std::min(due, r_.draw_step[draw]);
      }
    if (output) for_each_result(graph_, [&](int value) { need_all(value, r_.steps - 1); });
    for (size_t i = s_.stages.size(); i-- > 0;) backward(s_.stages[i]);

    // Forward again: the light rows move from their deadline to the moment their last operand exists.
    place_states(graph_, s_, r_, step_);
    for (const Stage& stage : s_.stages) {
      const int64_t positions = s_.rows[s_.sequence[stage.begin]].positions;
      for (int64_t p = 0; p < positions; ++p)
        for (int i = stage.begin; i < stage.end; ++i)
          if (stage.loop || !stabbed(s_.sequence[i])) step_[s_.sequence[i]][p] = earliest(s_.sequence[i], p);
    }
    return std::move(step_);
  }

 private:
  bool stabbed(int row) const {
    if (!s_.computes(row)) return false;
    const NodeKind kind = graph_.nodes[s_.rows[row].node].kind;
    return kind == NodeKind::gemm || kind == NodeKind::attend;
  }

  void need_all(int value, int32_t t) {
    for (int row = s_.first_row[value]; row < s_.first_row[value + 1]; ++row)
      for (int32_t& due : due_[row]) due = std::min(due, t);
  }

  void need(const Row& row, int64_t p, int32_t t) {
    for (const Dep& dep : row.deps)
      if (const int64_t q = dep_position(graph_, dep, p); q >= 0) due_[dep.row][q] = std::min(due_[dep.row][q], t);
  }

  void backward(const Stage& stage) {
    const int64_t positions = s_.rows[s_.sequence[stage.begin]].positions;
    if (stage.loop) {
      for (int64_t p = positions; p-- > 0;)
        for (int i = stage.end; i-- > stage.begin;)
          if (const int32_t t = due_[s_.sequence[i]][p]; t < kNever) need(s_.rows[s_.sequence[i]], p, t);
      return;
    }
    const int index = s_.sequence[stage.begin];
    const Row& row = s_.rows[index];
    // What reads no state is the same in every round.
    for (int64_t p = 0; p < positions && r_.body > 0; ++p)
      if (r_.ready[index][p] < r_.body && due_[index][p] < kNever) due_[index][p] = std::min(due_[index][p], r_.body - 1);
    if (stabbed(index)) stab(r_.ready[index], due_[index], step_[index]);
    const std::vector<int32_t>& when = stabbed(index) ? step_[index] : due_[index];
    for (const Dep& dep : row.deps)
      for (int64_t p = 0; p < positions; ++p)
        if (const int64_t q = dep_position(graph_, dep, p); q >= 0 && due_[index][p] < kNever)
          due_[dep.row][q] = std::min(due_[dep.row][q], when[p]);
    if (row.keys < 0) return;
    RangeUpdate<true> keys(s_.rows[row.keys].positions, kNever);
    for (int64_t p = 0; p < positions; ++p)
      if (due_[index][p] < kNever)
        for_each_visible(graph_, graph_.nodes[row.node].attention, p,
                         [&](int64_t begin, int64_t end) { keys.update(begin, end, when[p]); });
    due_[row.keys] = std::move(keys).numbers();
  }

  int32_t earliest(int index, int64_t p) const {
    if (due_[index][p] >= kNever || graph_.nodes[s_.rows[index].node].kind == NodeKind::constant) return kDead;
    int32_t t = 0;
    for (const Dep& dep : s_.rows[index].deps)
      if (const int64_t q = dep_position(graph_, dep, p); q >= 0) t = std::max(t, step_[dep.row][q]);
    return t;
  }

  const Graph& graph_;
  const Structure& s_;
  const Readiness& r_;
  PerRow due_, step_;
};

}  // namespace

PerRow schedule(const Graph& graph, const Structure& s, const Readiness& r, bool output) {
  return Schedule(graph, s, r).run(output);
}

}  // namespace genfast
