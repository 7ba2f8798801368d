#include "plan/readiness.h"

#include <algorithm>

namespace genfast {
namespace {

PerClass filled(const Graph& graph, const Structure& s, int32_t fill) {
  PerClass out(s.rows());
  for (size_t v = 0; v < graph.values.size(); ++v)
    for (int cls = 0; cls < s.classes(static_cast<int>(v)); ++cls)
      out[s.row(static_cast<int>(v), cls)].assign(graph.values[v].positions, fill);
  return out;
}

Readiness by_rank(const Graph& graph, const Structure& s) {
  Readiness r;
  const int64_t sites = graph.sites();
  r.steps = static_cast<int32_t>(sites);
  r.site_step.resize(sites);
  for (int64_t rank = 0; rank < sites; ++rank) r.site_step[graph.order[rank]] = static_cast<int32_t>(rank);
  r.ready = filled(graph, s, 0);
  for (int64_t p = 0; p < sites; ++p) r.ready[s.row(0, 0)][p] = r.site_step[p] + 1;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const int out = graph.nodes[i].out;
    for (size_t cls = 0; cls < s.nodes[i].size(); ++cls) {
      std::vector<int32_t>& ready = r.ready[s.row(out, static_cast<int>(cls))];
      for (const Dep& dep : s.nodes[i][cls].deps) {
        const std::vector<int32_t>& source = r.ready[s.row(dep.value, dep.cls)];
        for (int64_t p = 0; p < static_cast<int64_t>(ready.size()); ++p) {
          const int64_t q = dep_position(graph, dep, p);
          if (q >= 0) ready[p] = std::max(ready[p], source[q]);
        }
      }
    }
  }
  return r;
}

bool causal(const Graph& graph, const Structure& s, const Readiness& r) {
  for (const Dep& dep : head_deps(graph, s))
    for (int64_t site = 0; site < graph.sites(); ++site)
      if (r.ready[s.row(dep.value, dep.cls)][dep_position(graph, dep, site)] > r.site_step[site]) return false;
  return true;
}

// level(site) = 1 + the largest level it reads, met site by site in the order: what a site reads has its level already.
class Wavefronts {
 public:
  Wavefronts(const Graph& graph, const Structure& s) : graph_(graph), s_(s) {
    level_ = filled(graph, s, kDead);
    producer_.resize(s.rows(), nullptr);
    for (size_t i = 0; i < graph.nodes.size(); ++i)
      for (size_t cls = 0; cls < s.nodes[i].size(); ++cls)
        producer_[s.row(graph.nodes[i].out, static_cast<int>(cls))] = &s.nodes[i][cls];
    for (size_t row = 0; row < producer_.size(); ++row)
      if (!producer_[row]) std::fill(level_[row].begin(), level_[row].end(), 0);
  }

  Readiness run() {
    Readiness r;
    r.site_step.assign(graph_.sites(), 0);
    const std::vector<Dep> head = head_deps(graph_, s_);
    std::vector<int32_t>& site_ready = level_[s_.row(0, 0)];
    for (int32_t site : graph_.order) {
      int32_t level = 0;
      for (const Dep& dep : head) level = std::max(level, visit(s_.row(dep.value, dep.cls), dep_position(graph_, dep, site)));
      r.site_step[site] = level;
      site_ready[site] = level + 1;
      r.steps = std::max(r.steps, level + 1);
    }
    r.ready = std::move(level_);
    return r;
  }

 private:
  struct Frame {
    int row;
    int64_t p;
    size_t dep;
    int32_t level;
  };

  int32_t visit(int row, int64_t p) {
    if (level_[row][p] != kDead) return level_[row][p];
    stack_.push_back({row, p, 0, 0});
    while (true) {
      Frame& top = stack_.back();
      const std::vector<Dep>& deps = producer_[top.row]->deps;
      bool descended = false;
      while (top.dep < deps.size()) {
        const Dep& dep = deps[top.dep];
        const int64_t q = dep_position(graph_, dep, top.p);
        if (q >= 0) {
          const int child = s_.row(dep.value, dep.cls);
          const int32_t level = level_[child][q];
          if (level == kDead) {
            stack_.push_back({child, q, 0, 0});
            descended = true;
            break;
          }
          top.level = std::max(top.level, level);
        }
        ++top.dep;
      }
      if (descended) continue;
      const Frame done = top;
      level_[done.row][done.p] = done.level;
      stack_.pop_back();
      if (stack_.empty()) return done.level;
    }
  }

  const Graph& graph_;
  const Structure& s_;
  PerClass level_;
  std::vector<const NodeClass*> producer_;
  std::vector<Frame> stack_;
};

}  // namespace

Readiness readiness(const Graph& graph, const Structure& structure, bool wavefront) {
  Readiness r = by_rank(graph, structure);
  if (!causal(graph, structure, r)) explain_not_causal(graph, structure, r);
  return wavefront ? Wavefronts(graph, structure).run() : r;
}

}  // namespace genfast
