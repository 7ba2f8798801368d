// infer_order: an order of the sites that a model with an unknown one is causal for.
#include <algorithm>
#include <functional>
#include <queue>
#include <sstream>

#include "base/errors.h"
#include "plan/readiness.h"
#include "plan/visible.h"

namespace genfast {
namespace {

// Everything that can be computed is computed as sites are drawn. What cannot waits for one operand only, the first missing one,
// and looks for the next when it comes: each read is looked at once, and nothing stores who reads whom.
class Inference {
 public:
  Inference(const Graph& graph, const Structure& s) : graph_(graph), s_(s), first_(s.rows.size() + 1, 0) {
    for (size_t i = 0; i < s.rows.size(); ++i) first_[i + 1] = first_[i] + s.rows[i].positions;
    const int64_t draws = graph.head.by_position() ? graph.positions() : graph.sites();
    draws_ = first_.back();
    const int64_t items = draws_ + draws;
    done_.assign(items, 0);
    next_read_.assign(items, 0);
    waits_for_.assign(items, -1);
    first_waiting_.assign(items, -1);
    next_waiting_.assign(items, -1);
  }

  std::vector<int32_t> run() {
    for (size_t i = 0; i < s_.rows.size(); ++i)
      for (int64_t p = 0; p < s_.rows[i].positions; ++p)
        if (s_.rows[i].value != 0) look(first_[i] + p);
    for (int64_t item = draws_; item < static_cast<int64_t>(done_.size()); ++item) look(item);
    settle();
    while (!drawable_.empty()) {
      const int32_t draw = drawable_.top();
      drawable_.pop();
      for_each_site(graph_, draw, [&](int32_t site) {
        order_.push_back(site);
        finish(first_[site_row(graph_, site)] + site % graph_.positions());
      });
      settle();
    }
    if (static_cast<int64_t>(order_.size()) < graph_.sites()) throw NotCausalError(explain());
    return std::move(order_);
  }

 private:
  int row_of(int64_t item) const {
    return static_cast<int>(std::upper_bound(first_.begin(), first_.end(), item) - first_.begin()) - 1;
  }

  // The first operand that is missing, from the item's next read on; -1 when there is none.
  int64_t missing(int64_t item) {
    int64_t& next = next_read_[item];
    if (item >= draws_) {
      const int64_t at = graph_.head_position(item - draws_);
      for (; at >= 0 && next < static_cast<int64_t>(s_.head.size()); ++next)
        if (const int64_t operand = first_[s_.head[next]] + at; !done_[operand]) return operand;
      return -1;
    }
    const int index = row_of(item);
    const Row& row = s_.rows[index];
    const int64_t p = item - first_[index], deps = static_cast<int64_t>(row.deps.size());
    for (; next < deps; ++next)
      if (const int64_t q = dep_position(graph_, row.deps[next], p); q >= 0 && !done_[first_[row.deps[next].row] + q])
        return first_[row.deps[next].row] + q;
    if (row.keys < 0) return -1;
    int64_t operand = -1;
    for_each_visible(graph_, graph_.nodes[row.node].attention, p, [&](int64_t begin, int64_t end) {
      for (int64_t j = std::max(begin, next - deps); j < end && operand < 0; ++j) {
        if (done_[first_[row.keys] + j]) continue;
        operand = first_[row.keys] + j;
        next = deps + j;
      }
    });
    return operand;
  }

  void look(int64_t item) {
    const int64_t operand = missing(item);
    waits_for_[item] = operand;
    if (operand < 0) return finish(item);
    next_waiting_[item] = first_waiting_[operand];
    first_waiting_[operand] = item;
  }

  void finish(int64_t item) {
    done_[item] = 1;
    if (item >= draws_)
      drawable_.push(static_cast<int32_t>(item - draws_));
    else
      finished_.push_back(item);
  }

  // Wakes all that waits for what is finished.
  void settle() {
    while (!finished_.empty()) {
      int64_t waiting = first_waiting_[finished_.back()];
      finished_.pop_back();
      while (waiting >= 0) {
        const int64_t item = waiting;
        waiting = next_waiting_[item];
        look(item);
      }
    }
  }

  // From a distribution that cannot be had, always to what it waits for, until a site comes up again.
  std::string explain() const {
    std::vector<int64_t> sites;
    std::vector<int> met(graph_.sites(), -1);
    int64_t item = draws_;
    while (done_[item]) ++item;
    while (true) {
      item = waits_for_[item];
      const int row = row_of(item);
      if (s_.rows[row].value != 0) continue;
      const int64_t site = row * graph_.positions() + item - first_[row];
      if (met[site] >= 0) {
        sites.erase(sites.begin(), sites.begin() + met[site]);
        break;
      }
      met[site] = static_cast<int>(sites.size());
      sites.push_back(site);
      item = draws_ + draw_of(graph_, site);
    }
    std::ostringstream out;
    out << "no order of the sites is causal for this model: ";
    if (sites.size() == 1) {
      out << "the distribution of site " << site_name(graph_, sites[0]) << " reads that site itself";
    } else {
      const size_t shown = std::min<size_t>(sites.size(), 4);
      for (size_t i = 0; i < shown; ++i) out << "site " << site_name(graph_, sites[i]) << " reads ";
      if (shown < sites.size()) out << "… which reads ";
      out << "site " << site_name(graph_, sites[0]);
    }
    return out.str();
  }

  const Graph& graph_;
  const Structure& s_;
  std::vector<int64_t> first_;  // [row] item of its position 0
  int64_t draws_;               // item of draw 0
  std::vector<uint8_t> done_;   // items: every (row, position), then every draw
  std::vector<int64_t> next_read_, waits_for_, first_waiting_, next_waiting_, finished_;
  std::priority_queue<int32_t, std::vector<int32_t>, std::greater<int32_t>> drawable_;
  std::vector<int32_t> order_;
};

}  // namespace

std::vector<int32_t> infer_order(const Graph& graph) {
  const Structure structure = analyse(graph);
  return Inference(graph, structure).run();
}

}  // namespace genfast
