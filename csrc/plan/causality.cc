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

struct Place {
  int row;
  int64_t p;
};

// From the head's value down to a site.
using Chain = std::vector<Place>;

// From the distribution of a draw down, always to the operand that is ready last.
Chain latest_chain(const Graph& graph, const Structure& s, const PerRow& ready, int64_t draw) {
  const int64_t at = graph.head_position(draw);
  Place place{s.head[0], at};
  for (int row : s.head)
    if (ready[row][at] > ready[place.row][at]) place.row = row;
  Chain chain{place};
  while (s.rows[place.row].value != 0) {
    Place next{-1, 0};
    for_each_read(graph, s.rows[place.row], place.p, [&](int row, int64_t q) {
      if (next.row < 0 || ready[row][q] > ready[next.row][next.p]) next = {row, q};
    });
    chain.push_back(place = next);
  }
  return chain;
}

int64_t site_of(const Graph& graph, const Chain& chain) { return chain.back().row * graph.positions() + chain.back().p; }

class Explanation {
 public:
  Explanation(const Graph& graph, const Structure& s, const Readiness& r) : graph_(graph), s_(s), r_(r) {}

  std::string text() {
    find_due();
    int64_t bad = 0;
    int32_t first_bad = -1;
    for (int32_t draw : r_.draws) {
      if (head_ready(graph_, s_, r_.ready, draw) <= r_.draw_step[draw]) continue;
      for_each_site(graph_, draw, [&](int32_t) { ++bad; });
      if (first_bad < 0) first_bad = draw;
    }
    const Chain chain = latest_chain(graph_, s_, r_.ready, first_bad);
    const int64_t site = site_of(graph_, chain);
    int culprit = reader_of_the_future(chain);
    if (culprit < 0) culprit = find_culprit();
    std::ostringstream out;
    out << "the model is not causal for the declared order: the distribution of " << bad << " of " << graph_.sites()
        << " sites reads sites that are not drawn yet.";
    if (culprit >= 0) out << " Causality is lost in layer " << node_name(graph_.nodes[culprit]) << ".";
    out << " For example the distribution of site " << site_name(graph_, first_bad) << " (drawn at step " << r_.draw_step[first_bad]
        << ") reads site " << site_name(graph_, site) << " (drawn at step " << r_.site_step[site] << ") through ";
    for (const std::string& name : layers(chain)) out << name << " -> ";
    out << "output. Hint: " << hint(culprit);
    return out.str();
  }

 private:
  void find_due() {
    due_.resize(s_.rows.size());
    for (size_t row = 0; row < due_.size(); ++row) due_[row].assign(s_.rows[row].positions, kNever);
    for (int32_t draw : r_.draws)
      for (int row : s_.head) {
        int32_t& due = due_[row][graph_.head_position(draw)];
        due = std::min(due, r_.draw_step[draw]);
      }
    for (size_t k = s_.stages.size(); k-- > 0;)
      for (int64_t p = s_.rows[s_.sequence[s_.stages[k].begin]].positions; p-- > 0;)
        for (int i = s_.stages[k].end; i-- > s_.stages[k].begin;) {
          const int32_t t = due_[s_.sequence[i]][p];
          if (t < kNever)
            for_each_read(graph_, s_.rows[s_.sequence[i]], p,
                          [&](int row, int64_t q) { due_[row][q] = std::min(due_[row][q], t); });
        }
  }

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

  // The names of a chain's layers, from the site to the head.
  std::vector<std::string> layers(const Chain& chain) const {
    std::vector<std::string> names;
    for (size_t i = chain.size(); i-- > 0;) {
      if (!s_.computes(chain[i].row)) continue;
      const int node = s_.rows[chain[i].row].node;
      std::string name = graph_.nodes[node].name.empty() ? "node " + std::to_string(node) : graph_.nodes[node].name;
      if (names.empty() || names.back() != name) names.push_back(std::move(name));
    }
    return names;
  }

  // The layer on the chain from the head that moves from a position to one whose step is later, or -1. What it passes on the way,
  // on other grids (a mean over the image, say), belongs to the move: attention is named, else the layer that moves.
  int reader_of_the_future(const Chain& chain) const {
    const std::vector<int32_t> step = steps_of_positions();
    const Place* reader = nullptr;
    int attention = -1;  // since the reader
    for (const Place& place : chain) {
      const Row& row = s_.rows[place.row];
      const bool site_grid = row.positions == graph_.positions() && row.cls >= 0;
      if (site_grid && reader && step[place.p] > step[reader->p]) return attention >= 0 ? attention : s_.rows[reader->row].node;
      if (site_grid) {
        reader = &place;
        attention = -1;
      }
      if (row.keys >= 0) attention = row.node;
    }
    return -1;
  }

  // The first layer that is late, out of step with its own position, and later than all it reads there: a late layer that only
  // reads what it may is a victim of a later one that asks for it too early (a norm over all positions, say). What is no later
  // than its own position's sources is named if nothing else is: not an embedding, but the attention after it that reads further.
  int find_culprit() const {
    const std::vector<int32_t> step = steps_of_positions();
    int late = -1, first = -1;
    for (int index : s_.sequence) {
      const Row& row = s_.rows[index];
      if (!s_.computes(index)) continue;
      const bool site_grid = row.positions == graph_.positions();
      for (int64_t p = 0; p < row.positions; ++p) {
        const int32_t ready = r_.ready[index][p];
        if (due_[index][p] >= kNever || ready <= due_[index][p]) continue;
        if (late < 0) late = row.node;
        if (site_grid && ready <= step[p]) continue;
        if (mixes_positions(row) && (!site_grid || ready > own_ready(row, p))) return row.node;
        if (first < 0) first = row.node;
      }
    }
    return first >= 0 ? first : late;
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
  PerRow due_;
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
  const int64_t unknown = site_of(graph, latest_chain(graph, structure, by_rank.ready, draw_of(graph, site)));
  std::ostringstream out;
  out << "known: sites that are known must come before the others in the order of the model, but site " << site_name(graph, site)
      << " is known and its distribution depends on site " << site_name(graph, unknown)
      << ", which is not; make that one known too, or let both be drawn (any first part of the order may be known)";
  throw ArgumentError(out.str());
}

}  // namespace genfast
