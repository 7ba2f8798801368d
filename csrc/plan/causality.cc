// Why a model is not causal for its order, in words: the layer where causality is lost, one concrete chain, and a hint.
#include <algorithm>
#include <sstream>

#include "base/errors.h"
#include "plan/readiness.h"

namespace genfast {
namespace {

std::string site_name(const Graph& graph, int64_t site) {
  std::vector<int64_t> index(graph.input_shape.size());
  for (size_t d = index.size(); d-- > 0;) {
    index[d] = site % graph.input_shape[d];
    site /= graph.input_shape[d];
  }
  // A channel axis of length one says nothing.
  const size_t first = index.size() > 1 && graph.input_shape[0] == 1 ? 1 : 0;
  std::ostringstream text;
  text << '(';
  for (size_t d = first; d < index.size(); ++d) text << (d > first ? ", " : "") << index[d];
  text << ')';
  return text.str();
}

std::string node_name(const Node& node) {
  std::string text = node.name.empty() ? "node" : node.name;
  if (!node.source.empty()) text += " (" + node.source + ")";
  return text;
}

struct Place {
  int row, value, cls;
  int64_t p;
};

class Explanation {
 public:
  Explanation(const Graph& graph, const Structure& s, const Readiness& r) : graph_(graph), s_(s), r_(r) {}

  std::string text() {
    find_due();
    int64_t bad = 0, first_bad = -1;
    for (int32_t site : graph_.order) {
      if (head_ready(site) <= r_.site_step[site]) continue;
      ++bad;
      if (first_bad < 0) first_bad = site;
    }
    const int culprit = find_culprit();
    std::ostringstream out;
    out << "the model is not causal for the declared order: the distribution of " << bad << " of " << graph_.sites()
        << " sites reads sites that are not drawn yet.";
    if (culprit >= 0) out << " Causality is lost in layer " << node_name(graph_.nodes[culprit]) << ".";
    out << " For example " << chain(first_bad) << ". Hint: " << hint(culprit);
    return out.str();
  }

 private:
  int32_t head_ready(int64_t site) const {
    int32_t ready = 0;
    for (const Dep& dep : head_deps(graph_, s_))
      ready = std::max(ready, r_.ready[s_.row(dep.value, dep.cls)][dep_position(graph_, dep, site)]);
    return ready;
  }

  void find_due() {
    due_.resize(s_.rows());
    for (size_t row = 0; row < due_.size(); ++row) due_[row].assign(r_.ready[row].size(), kNever);
    auto need = [&](const Dep& dep, int64_t p, int32_t t) {
      const int64_t q = dep_position(graph_, dep, p);
      if (q >= 0) due_[s_.row(dep.value, dep.cls)][q] = std::min(due_[s_.row(dep.value, dep.cls)][q], t);
    };
    for (const Dep& dep : head_deps(graph_, s_))
      for (int64_t site = 0; site < graph_.sites(); ++site) need(dep, site, r_.site_step[site]);
    for (size_t i = graph_.nodes.size(); i-- > 0;)
      for (size_t cls = 0; cls < s_.nodes[i].size(); ++cls) {
        const int row = s_.row(graph_.nodes[i].out, static_cast<int>(cls));
        for (const Dep& dep : s_.nodes[i][cls].deps)
          for (size_t p = 0; p < due_[row].size(); ++p)
            if (due_[row][p] < kNever) need(dep, static_cast<int64_t>(p), due_[row][p]);
      }
  }

  // The first layer that is late *and* out of step with its own position: a late layer that only reads what it may is a victim of a
  // later one that asks for it too early (a norm over all positions, say).
  int find_culprit() const {
    int late = -1;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const int out = graph_.nodes[i].out;
      const bool site_grid = graph_.values[out].positions == graph_.sites();
      for (size_t cls = 0; cls < s_.nodes[i].size(); ++cls) {
        const int row = s_.row(out, static_cast<int>(cls));
        for (size_t p = 0; p < due_[row].size(); ++p) {
          if (due_[row][p] >= kNever || r_.ready[row][p] <= due_[row][p]) continue;
          if (late < 0) late = static_cast<int>(i);
          if (!site_grid || r_.ready[row][p] > r_.site_step[p]) return static_cast<int>(i);
        }
      }
    }
    return late;
  }

  int producer(int value) const { return graph_.values[value].producer; }

  // From the head down, always to the operand that is ready last.
  std::string chain(int64_t site) const {
    std::vector<std::string> names;
    std::vector<Dep> deps = head_deps(graph_, s_);
    int64_t p = site;
    while (true) {
      const Dep* worst = nullptr;
      int64_t at = -1;
      for (const Dep& dep : deps) {
        const int64_t q = dep_position(graph_, dep, p);
        if (q < 0) continue;
        if (!worst || r_.ready[s_.row(dep.value, dep.cls)][q] > r_.ready[s_.row(worst->value, worst->cls)][at]) {
          worst = &dep;
          at = q;
        }
      }
      if (!worst) break;
      p = at;
      if (worst->value == 0) break;
      const int node = producer(worst->value);
      const std::string name = graph_.nodes[node].name.empty() ? "node " + std::to_string(node) : graph_.nodes[node].name;
      if (names.empty() || names.back() != name) names.push_back(name);
      deps = s_.nodes[node][worst->cls].deps;
    }
    std::ostringstream out;
    out << "the distribution of site " << site_name(graph_, site) << " (drawn at step " << r_.site_step[site] << ") reads site "
        << site_name(graph_, p) << " (drawn at step " << r_.site_step[p] << ") through ";
    for (size_t i = names.size(); i-- > 0;) out << names[i] << " -> ";
    out << "output";
    return out.str();
  }

  std::string hint(int culprit) const {
    bool one_late = true;
    for (int32_t site : graph_.order) one_late = one_late && head_ready(site) == r_.site_step[site] + 1;
    // Reductions over positions arrive as trees of maps, all of the same layer, that end in one position.
    const bool to_one_position = culprit >= 0 && graph_.sites() > 1 &&
                                 std::any_of(graph_.nodes.begin() + culprit, graph_.nodes.end(), [&](const Node& node) {
                                   return node.name == graph_.nodes[culprit].name && graph_.values[node.out].positions == 1;
                                 });
    if (to_one_position)
      return "this layer mixes all positions (a GroupNorm, an InstanceNorm or a mean over the image); use a norm over channels.";
    if (one_late)
      return "every output reads exactly up to its own site: the first layer needs a mask of type A (a type B mask sees the "
             "centre), or the "
             "model predicts the next site and its output must be shifted by one.";
    return "check this layer's mask and padding, and that `order` is the order the model was trained for.";
  }

  const Graph& graph_;
  const Structure& s_;
  const Readiness& r_;
  PerClass due_;
};

}  // namespace

void explain_not_causal(const Graph& graph, const Structure& structure, const Readiness& by_rank) {
  throw NotCausalError(Explanation(graph, structure, by_rank).text());
}

}  // namespace genfast
