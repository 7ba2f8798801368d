// Why a model is not causal for its order, or a set of known sites not legal, in words: the layer where causality is lost, one
// concrete chain, and a hint.
#include <algorithm>
#include <sstream>

#include "base/errors.h"
#include "plan/readiness.h"
#include "plan/visible.h"

namespace genfast {
namespace {

std::string node_name(const Node& node) {
  std::string text = node.name.empty() ? "node" : node.name;
  if (!node.source.empty()) text += " (" + node.source + ")";
  return text;
}

// Calls f(row, position) for all that a row reads at position p.
template <class F>
void for_each_read(const Graph& graph, const Row& row, int64_t p, F&& f) {
  for (const Dep& dep : row.deps)
    if (const int64_t q = dep_position(graph, dep, p); q >= 0) f(dep.row, q);
  if (row.keys < 0) return;
  for_each_visible(graph, graph.nodes[row.node].attention, p, [&, keys = row.keys](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) f(keys, j);
  });
}

struct Chain {
  struct Link {
    int row;
    int64_t position;
  };
  int64_t site;                     // what is read
  std::vector<std::string> layers;  // from the head down
  std::vector<Link> links;          // likewise: the rows that compute
};

// From the distribution of a draw down, always to the operand that is ready last.
Chain latest_chain(const Graph& graph, const Structure& s, const PerRow& ready, int64_t draw) {
  Chain chain;
  int row = -1;
  int64_t p = graph.head_position(draw);
  for (int r : s.head)
    if (row < 0 || ready[r][p] > ready[row][p]) row = r;
  while (s.rows[row].value != 0) {
    if (s.computes(row)) {
      chain.links.push_back({row, p});
      const int node = s.rows[row].node;
      const std::string name = graph.nodes[node].name.empty() ? "node " + std::to_string(node) : graph.nodes[node].name;
      if (chain.layers.empty() || chain.layers.back() != name) chain.layers.push_back(name);
    }
    int next = -1;
    int64_t at = -1;
    for_each_read(graph, s.rows[row], p, [&](int r, int64_t q) {
      if (next >= 0 && ready[r][q] <= ready[next][at]) return;
      next = r;
      at = q;
    });
    row = next;
    p = at;
  }
  chain.site = row * graph.positions() + p;
  return chain;
}

class Explanation {
 public:
  Explanation(const Graph& graph, const Structure& s, const Readiness& r) : graph_(graph), s_(s), r_(r) {}

  std::string text() {
    int64_t bad = 0;
    int32_t first_bad = -1;
    for (int32_t draw : r_.draws) {
      if (head_ready(graph_, s_, r_.ready, draw) <= r_.draw_step[draw]) continue;
      for_each_site(graph_, draw, [&](int32_t) { ++bad; });
      if (first_bad < 0) first_bad = draw;
    }
    const Chain chain = latest_chain(graph_, s_, r_.ready, first_bad);
    const int culprit = find_culprit(chain);
    std::ostringstream out;
    out << "the model is not causal for the declared order: the distribution of " << bad << " of " << graph_.sites()
        << " sites reads sites that are not drawn yet.";
    if (culprit >= 0) out << " Causality is lost in layer " << node_name(graph_.nodes[culprit]) << ".";
    out << " For example the distribution of site " << site_name(graph_, first_bad) << " (drawn at step " << r_.draw_step[first_bad]
        << ") reads site " << site_name(graph_, chain.site) << " (drawn at step " << r_.site_step[chain.site] << ") through ";
    for (size_t i = chain.layers.size(); i-- > 0;) out << chain.layers[i] << " -> ";
    out << "output. Hint: " << hint(culprit);
    return out.str();
  }

 private:
  // [position of value 0] the last step whose draw may read it: that of the distribution made there, or of the site itself.
  std::vector<int32_t> steps_of_positions() const {
    const int64_t positions = graph_.positions();
    std::vector<int32_t> step(positions, -1);
    if (graph_.values[graph_.head.value].positions == positions) {
      for (int32_t draw : r_.draws) {
        int32_t& last = step[graph_.head_position(draw)];
        last = std::max(last, r_.draw_step[draw]);
      }
    } else {
      for (int64_t site = 0; site < graph_.sites(); ++site)
        step[site % positions] = std::max(step[site % positions], r_.site_step[site]);
    }
    for (int32_t& t : step)
      if (t < 0) t = kNever;
    return step;
  }

  // The first layer of the chain that is out of step with its own position and later than all it reads there: what comes before
  // it may be read elsewhere, further on in the order. What is no later than its own position's sources is named if nothing else
  // is: not an embedding, but the attention after it that reads further.
  int find_culprit(const Chain& chain) const {
    const std::vector<int32_t> step = steps_of_positions();
    int first = -1;
    for (size_t i = chain.links.size(); i-- > 0;) {
      const auto [index, p] = chain.links[i];
      const Row& row = s_.rows[index];
      const bool site_grid = row.positions == graph_.positions();
      const int32_t ready = r_.ready[index][p];
      if (site_grid && ready <= step[p]) continue;
      if (mixes_positions(row) && (!site_grid || ready > own_ready(row, p))) return row.node;
      if (first < 0) first = row.node;
    }
    return first >= 0 || chain.links.empty() ? first : s_.rows[chain.links.back().row].node;
  }

  // The step from which on all is there that a row reads at its own position.
  int32_t own_ready(const Row& row, int64_t p) const {
    int32_t ready = 0;
    for (const Dep& dep : row.deps)
      if (dep_position(graph_, dep, p) == p && s_.rows[dep.row].positions == row.positions)
        ready = std::max(ready, r_.ready[dep.row][p]);
    return ready;
  }

  bool mixes_positions(const Row& row) const {
    return row.keys >= 0 || std::any_of(row.deps.begin(), row.deps.end(), [](const Dep& dep) { return dep.table != kDirect; });
  }

  // One product of many positions into one, as the layers of a MADE: what it sees is up to its mask, unlike a statistic.
  bool is_linear_over_positions(const Node& node) const {
    return node.kind == NodeKind::gemm && graph_.values[node.out].positions == 1 &&
           std::any_of(node.sources.begin(), node.sources.end(),
                       [&](const Source& source) { return graph_.values[source.value].positions > 1; });
  }

  std::string hint(int culprit) const {
    if (culprit >= 0 && graph_.nodes[culprit].kind == NodeKind::attend)
      return "this attention sees keys of sites that are drawn later: it needs a causal mask. A row whose keys are all masked by a "
             "finite number, as the first may be, attends to every key.";
    const bool one_late = std::all_of(r_.draws.begin(), r_.draws.end(), [&](int32_t draw) {
      return head_ready(graph_, s_, r_.ready, draw) == r_.draw_step[draw] + 1;
    });
    // Reductions over positions arrive as trees of maps, all of the same layer, that end in one position.
    const bool to_one_position = culprit >= 0 && graph_.positions() > 1 &&
                                 std::any_of(graph_.nodes.begin() + culprit, graph_.nodes.end(), [&](const Node& node) {
                                   return node.name == graph_.nodes[culprit].name && graph_.values[node.out].positions == 1;
                                 });
    if (to_one_position && is_linear_over_positions(graph_.nodes[culprit]))
      return "this linear layer sees sites that `order` draws later: pass the order that the model and its masks were made for, or "
             "order='infer' to find it from them.";
    if (to_one_position)
      return "this layer mixes all positions (a GroupNorm, an InstanceNorm or a mean over the image); use a norm over channels.";
    if (one_late)
      return "every output reads exactly up to its own site: the first layer needs a mask of type A (a type B mask sees the "
             "centre), or the model predicts the next site and its output must be shifted by one.";
    return "check this layer's mask and padding, and that `order` is the order the model was trained for.";
  }

  const Graph& graph_;
  const Structure& s_;
  const Readiness& r_;
};

}  // namespace

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

void explain_not_causal(const Graph& graph, const Structure& structure, const Readiness& by_rank) {
  throw NotCausalError(Explanation(graph, structure, by_rank).text());
}

void explain_not_known(const Graph& graph, const Structure& structure, const Readiness& by_rank, int32_t site) {
  const Chain chain = latest_chain(graph, structure, by_rank.ready, draw_of(graph, site));
  std::ostringstream out;
  out << "known: sites that are known must come before the others in the order of the model, but site " << site_name(graph, site)
      << " is known and its distribution depends on site " << site_name(graph, chain.site)
      << ", which is not; make that one known too, or let both be drawn (any first part of the order may be known)";
  throw ArgumentError(out.str());
}

}  // namespace genfast
