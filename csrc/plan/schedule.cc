#include "plan/schedule.h"

#include <algorithm>
#include <numeric>
#include <queue>

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

}  // namespace

PerClass schedule(const Graph& graph, const Structure& s, const Readiness& r) {
  PerClass due(s.rows()), step(s.rows());
  for (size_t row = 0; row < r.ready.size(); ++row) {
    due[row].assign(r.ready[row].size(), kNever);
    step[row].assign(r.ready[row].size(), kDead);
  }
  auto need = [&](const Dep& dep, int64_t p, int32_t t) {
    const int64_t q = dep_position(graph, dep, p);
    if (q < 0) return;
    int32_t& d = due[s.row(dep.value, dep.cls)][q];
    d = std::min(d, t);
  };
  for (const Dep& dep : head_deps(graph, s))
    for (int64_t site = 0; site < graph.sites(); ++site) need(dep, site, r.site_step[site]);

  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const bool product = graph.nodes[i].kind == NodeKind::gemm;
    for (size_t cls = 0; cls < s.nodes[i].size(); ++cls) {
      const int row = s.row(graph.nodes[i].out, static_cast<int>(cls));
      if (product) stab(r.ready[row], due[row], step[row]);
      for (const Dep& dep : s.nodes[i][cls].deps)
        for (size_t p = 0; p < due[row].size(); ++p)
          if (due[row][p] < kNever) need(dep, static_cast<int64_t>(p), product ? step[row][p] : due[row][p]);
    }
  }

  // Forward again: the light nodes move from their deadline to the moment their last operand exists.
  auto available = [&](const Dep& dep, int64_t q) {
    if (dep.value == 0) return r.site_step[q] + 1;
    return std::max(0, step[s.row(dep.value, dep.cls)][q]);
  };
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].kind == NodeKind::gemm || graph.nodes[i].kind == NodeKind::constant) continue;
    for (size_t cls = 0; cls < s.nodes[i].size(); ++cls) {
      const int row = s.row(graph.nodes[i].out, static_cast<int>(cls));
      for (size_t p = 0; p < due[row].size(); ++p) {
        if (due[row][p] >= kNever) continue;
        int32_t t = 0;
        for (const Dep& dep : s.nodes[i][cls].deps) {
          const int64_t q = dep_position(graph, dep, static_cast<int64_t>(p));
          if (q >= 0) t = std::max(t, available(dep, q));
        }
        step[row][p] = t;
      }
    }
  }
  return step;
}

}  // namespace genfast
