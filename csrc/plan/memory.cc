#include "plan/memory.h"

#include <algorithm>
#include <map>

#include "base/errors.h"
#include "plan/visible.h"

namespace genfast {
namespace {

constexpr int32_t kUnused = -1;
// So many positions of a group are worth looking for slots side by side.
constexpr size_t kManyPositions = 8;

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Narrow rows stay dense; wide ones start on a cache line.
int64_t row_stride(int64_t channels) { return channels < 16 ? channels : round_up(channels, 16); }

class Placement {
 public:
  Placement(const Graph& graph, const Structure& s, Plan& plan) : graph_(graph), s_(s), plan_(plan) {}

  void run() {
    const size_t values = graph_.values.size();
    plan_.stride.resize(values);
    plan_.offset.resize(values);
    first_.resize(values);
    last_.resize(values);
    for (size_t v = 0; v < values; ++v) {
      const int64_t positions = graph_.values[v].positions;
      plan_.stride[v] = row_stride(graph_.values[v].channels);
      plan_.offset[v].assign(positions, kUnused);
      first_[v].assign(positions, kUnused);
      last_[v].assign(positions, kUnused);
    }
    find_lifetimes();
    // Time 0 is before the first group.
    for (int32_t site : plan_.known)
      if (const int64_t p = site % graph_.positions(); last_[0][p] != kUnused) allocate(0, p);
    for (size_t i = 0; i < graph_.conditions.size(); ++i) {
      const int v = graph_.conditions[i].value;
      for (size_t p = 0; p < plan_.offset[v].size(); ++p)
        if (last_[v][p] != kUnused) allocate(v, static_cast<int64_t>(p));
    }
    place_states();
    int32_t time = 1;
    for (Step& step : plan_.steps) {
      for (Group& group : step.groups) place_group(group, time++);
      for (int32_t site : step.sites) allocate(0, site % graph_.positions());
      release(time++);
    }
    lay_out();
  }

 private:
  void touch(int v, int64_t p, int32_t time) { last_[v][p] = std::max(last_[v][p], time); }
  void touch_all(int v, int32_t time) {
    for (int32_t& last : last_[v]) last = std::max(last, time);
  }

  // Read in the body: what the body has computed before it, or else what every later round reads again.
  void touch_in_body(int v, int64_t p, int32_t time) {
    touch(v, p, time >= body_begin_ && first_[v][p] < body_begin_ ? end_ : time);
  }

  void place_states() {
    if (plan_.body < 0) return;
    for (const State& state : graph_.iteration.states)
      for (int64_t p = 0; p < graph_.values[state.value].positions; ++p) allocate(state.value, p);
  }

  // What is there after the last step, and in rounds before it.
  void touch_results() {
    if (plan_.output) touch_all(graph_.output.value, end_);
    if (plan_.body < 0) return;
    for (const State& state : graph_.iteration.states) {
      touch_all(state.value, end_);
      touch_all(state.next, end_);
    }
  }

  void find_lifetimes() {
    for (size_t t = 0; t < plan_.steps.size(); ++t) {
      if (static_cast<int64_t>(t) == plan_.body) body_begin_ = end_ + 1;
      end_ += static_cast<int32_t>(plan_.steps[t].groups.size()) + 1;
    }
    std::vector<std::unique_ptr<RangeUpdate<false>>> keys(s_.rows.size());  // [attend row] last read of each key
    for (size_t row = 0; row < s_.rows.size(); ++row)
      if (s_.rows[row].keys >= 0) keys[row] = std::make_unique<RangeUpdate<false>>(s_.rows[s_.rows[row].keys].positions, kUnused);

    int32_t time = 1;
    for (const Step& step : plan_.steps) {
      for (const Group& group : step.groups) {
        for (const Task& task : group.tasks) {
          const int index = s_.first_row[graph_.nodes[task.node].out] + task.cls;
          const Row& row = s_.rows[index];
          for (int32_t p : group.positions) {
            if (first_[row.value][p] == kUnused) first_[row.value][p] = time;
            touch_in_body(row.value, p, time);
            for (const Dep& dep : row.deps)
              if (const int64_t q = dep_position(graph_, dep, p); q >= 0) touch_in_body(s_.rows[dep.row].value, q, time);
            if (row.keys >= 0)
              for_each_visible(graph_, graph_.nodes[row.node].attention, p,
                               [&](int64_t begin, int64_t end) { keys[index]->update(begin, end, time); });
          }
        }
        ++time;
      }
      for (int32_t site : step.sites) {
        touch(graph_.head.value, graph_.head_position(site), time);
        touch(0, site % graph_.positions(), time);
      }
      ++time;
    }
    for (size_t row = 0; row < s_.rows.size(); ++row) {
      if (!keys[row]) continue;
      const std::vector<int32_t> last = std::move(*keys[row]).numbers();
      for (const Dep& dep : s_.rows[s_.rows[row].keys].deps)
        for (size_t j = 0; j < last.size(); ++j)
          touch_in_body(s_.rows[dep.row].value, dep_position(graph_, dep, static_cast<int64_t>(j)), last[j]);
    }
    touch_results();

    dying_begin_.assign(time + 2, 0);
    for (const std::vector<int32_t>& last : last_)
      for (int32_t t : last)
        if (t != kUnused) ++dying_begin_[t + 2];
    for (int32_t t = 2; t < time + 2; ++t) dying_begin_[t] += dying_begin_[t - 1];
    dying_.resize(dying_begin_.back());
    for (size_t v = 0; v < last_.size(); ++v)
      for (size_t p = 0; p < last_[v].size(); ++p)
        if (last_[v][p] != kUnused) dying_[dying_begin_[last_[v][p] + 1]++] = {static_cast<int32_t>(v), static_cast<int32_t>(p)};
  }

  // In scratch: computed here, all classes, and read by this group alone, at every position.
  bool lives_in_group(const Group& group, int v, int32_t time) const {
    if (s_.class_count(v) != 1) return false;
    return std::all_of(group.positions.begin(), group.positions.end(),
                       [&](int32_t p) { return first_[v][p] == time && last_[v][p] == time; });
  }

  void place_group(const Group& group, int32_t time) {
    std::map<int, size_t> last_task;  // of values that live in the group
    for (size_t k = 0; k < group.tasks.size(); ++k) {
      const int out = graph_.nodes[group.tasks[k].node].out;
      if (lives_in_group(group, out, time)) last_task[out] = k;
      for (const Source& source : graph_.nodes[group.tasks[k].node].sources)
        if (auto it = last_task.find(source.value); it != last_task.end()) it->second = k;
    }
    const int64_t n = static_cast<int64_t>(group.positions.size());
    int64_t scratch_used = 0;
    std::map<int64_t, std::vector<int64_t>> reusable;  // stride -> scratch offsets
    std::map<int, int64_t> scratch_of;
    for (size_t k = 0; k < group.tasks.size(); ++k) {
      const Node& node = graph_.nodes[group.tasks[k].node];
      const int out = node.out;
      auto free_operands = [&] {
        for (auto it = scratch_of.begin(); it != scratch_of.end();) {
          if (last_task[it->first] == k) {
            reusable[plan_.stride[it->first]].push_back(it->second);
            it = scratch_of.erase(it);
          } else {
            ++it;
          }
        }
      };
      const bool in_place = node.kind == NodeKind::map && reads_elementwise(node, out);
      if (in_place) free_operands();
      if (last_task.count(out)) {
        std::vector<int64_t>& free = reusable[plan_.stride[out]];
        int64_t at;
        if (!free.empty()) {
          at = free.back();
          free.pop_back();
        } else {
          at = scratch_used;
          scratch_used += round_up(n * plan_.stride[out], 16);
        }
        scratch_of[out] = at;
        for (int64_t i = 0; i < n; ++i) in_scratch_.push_back({out, group.positions[i], at + i * plan_.stride[out]});
      } else {
        allocate_together(out, group.positions);
      }
      if (!in_place) free_operands();
    }
    scratch_size_ = std::max(scratch_size_, scratch_used);
    release(time);
  }

  // Element (row, channel) of the out reads only element (row, channel) of operands, so an operand's memory may become the out's.
  bool reads_elementwise(const Node& node, int out) const {
    return std::all_of(node.sources.begin(), node.sources.end(), [&](const Source& source) {
      return plan_.stride[source.value] != plan_.stride[out] ||
             (!source.broadcast && source.channel == 0 && source.table == kDirect &&
              graph_.values[source.value].positions == graph_.values[out].positions);
    });
  }

  void allocate(int v, int64_t p) {
    if (plan_.offset[v][p] != kUnused) return;
    const int64_t stride = plan_.stride[v];
    std::vector<int32_t>& free = free_[stride];
    int32_t slot;
    if (!free.empty()) {
      slot = free.back();
      free.pop_back();
    } else {
      slot = slots_[stride]++;
    }
    plan_.offset[v][p] = slot;
  }

  // Slots in a row, as far as there are such, so that a backend may take neighbouring positions in one go.
  void allocate_together(int v, const std::vector<int32_t>& positions) {
    std::vector<int32_t>& free = free_[plan_.stride[v]];
    size_t wanted = 0;
    for (int32_t p : positions) wanted += plan_.offset[v][p] == kUnused;
    if (wanted >= kManyPositions && !free.empty()) {
      std::sort(free.begin(), free.end());
      struct Run {
        size_t begin, length;
      };
      std::vector<Run> runs;
      for (size_t i = 0; i < free.size(); ++i) {
        if (i == 0 || free[i] != free[i - 1] + 1) runs.push_back({i, 0});
        ++runs.back().length;
      }
      // The shortest that is long enough, or failing that the longest ones.
      const auto better = [&](const Run& a, const Run& b) {
        const bool enough_a = a.length >= wanted, enough_b = b.length >= wanted;
        return enough_a != enough_b ? enough_a : enough_a ? a.length < b.length : a.length > b.length;
      };
      std::stable_sort(runs.begin(), runs.end(), better);
      std::vector<int32_t> rest;  // taken from the back
      rest.reserve(free.size());
      for (size_t r = runs.size(); r-- > 0;)
        for (size_t i = runs[r].length; i-- > 0;) rest.push_back(free[runs[r].begin + i]);
      free = std::move(rest);
    }
    for (int32_t p : positions) allocate(v, p);
  }

  void release(int32_t time) {
    for (int64_t i = dying_begin_[time]; i < dying_begin_[time + 1]; ++i) {
      const auto [v, p] = dying_[i];
      if (plan_.offset[v][p] != kUnused) free_[plan_.stride[v]].push_back(plan_.offset[v][p]);
    }
  }

  void lay_out() {
    std::map<int64_t, int64_t> base;
    int64_t at = 0;
    for (const auto& [stride, count] : slots_) {
      base[stride] = at;
      at = round_up(at + stride * count, 16);
    }
    for (size_t v = 0; v < plan_.offset.size(); ++v)
      for (int32_t& offset : plan_.offset[v])
        if (offset != kUnused) offset = static_cast<int32_t>(base[plan_.stride[v]] + offset * plan_.stride[v]);
    for (const Scratch& s : in_scratch_) plan_.offset[s.value][s.position] = static_cast<int32_t>(at + s.offset);
    plan_.floats_per_row = at + scratch_size_;
    if (plan_.floats_per_row > INT32_MAX)
      throw UnsupportedOpError("one sample of this model needs " + std::to_string(plan_.floats_per_row * 4 >> 20) +
                               " MiB of activations at once; at most 8191 MiB are supported");
  }

  struct Scratch {
    int value;
    int32_t position;
    int64_t offset;
  };

  const Graph& graph_;
  const Structure& s_;
  Plan& plan_;
  std::vector<std::vector<int32_t>> first_, last_;
  int32_t end_ = 0;                                 // the last time; nothing is placed after it
  int32_t body_begin_ = INT32_MAX;                  // the time of the first group of the body
  std::vector<std::pair<int32_t, int32_t>> dying_;  // (value, position) sorted by last
  std::vector<int64_t> dying_begin_;                // [time] into dying_
  std::map<int64_t, std::vector<int32_t>> free_;
  std::map<int64_t, int32_t> slots_;
  std::vector<Scratch> in_scratch_;
  int64_t scratch_size_ = 0;
};

}  // namespace

void place_values(const Graph& graph, const Structure& structure, Plan& plan) { Placement(graph, structure, plan).run(); }

}  // namespace genfast
