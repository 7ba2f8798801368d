#include "plan/grouping.h"

#include <algorithm>

namespace genfast {
namespace {

// One row at one position, to be computed at some step.
struct Element {
  int32_t row, p;
};

// Elements sorted by step, within a step in the order of evaluation.
struct Agenda {
  std::vector<Element> elements;
  std::vector<int64_t> begin;  // [step] into elements; one more at the end
};

Agenda sort_by_step(const Structure& s, int32_t steps, const PerRow& schedule) {
  Agenda agenda;
  agenda.begin.assign(steps + 2, 0);
  auto for_each_element = [&](auto&& f) {
    for (const Stage& stage : s.stages) {
      const int64_t positions = s.rows[s.sequence[stage.begin]].positions;
      for (int64_t p = 0; p < positions; ++p)
        for (int i = stage.begin; i < stage.end; ++i) {
          const int row = s.sequence[i];
          if (s.computes(row) && schedule[row][p] != kDead) f(row, static_cast<int32_t>(p), schedule[row][p]);
        }
    }
  };
  // Two places ahead: filling moves each begin to where the next one is to be.
  for_each_element([&](int, int32_t, int32_t step) { ++agenda.begin[step + 2]; });
  for (int32_t t = 2; t < steps + 2; ++t) agenda.begin[t] += agenda.begin[t - 1];
  agenda.elements.resize(agenda.begin.back());
  for_each_element([&](int row, int32_t p, int32_t step) { agenda.elements[agenda.begin[step + 1]++] = {row, p}; });
  agenda.begin.pop_back();
  return agenda;
}

// What a step computes of a loop, in waves: an element comes one wave after what it reads of the step at other positions, so that
// positions which do not wait for each other run together.
class LoopWaves {
 public:
  LoopWaves(const Graph& graph, const Structure& s, const PerRow& schedule)
      : graph_(graph), s_(s), schedule_(schedule), loop_(s.rows.size(), -1), place_(s.rows.size(), 0), wave_(s.rows.size()) {
    for (size_t i = 0; i < s.stages.size(); ++i) {
      if (!s.stages[i].loop) continue;
      for (int k = s.stages[i].begin; k < s.stages[i].end; ++k) {
        loop_[s.sequence[k]] = static_cast<int>(i);
        place_[s.sequence[k]] = k;
        wave_[s.sequence[k]].assign(s.rows[s.sequence[k]].positions, 0);
      }
    }
  }

  int32_t wave(const Element& e) const { return wave_[e.row].empty() ? 0 : wave_[e.row][e.p]; }

  void sort(Element* begin, Element* end) {
    while (begin < end) {
      Element* stop = begin + 1;
      if (const int loop = loop_[begin->row]; loop >= 0) {
        while (stop < end && loop_[stop->row] == loop) ++stop;
        if (begin->p != stop[-1].p) sort_loop(begin, stop);
      }
      begin = stop;
    }
  }

 private:
  void sort_loop(Element* begin, Element* end) {
    for (Element* e = begin; e < end; ++e) {
      int32_t wave = 0;
      for (const Dep& dep : s_.rows[e->row].deps) {
        const int64_t q = dep_position(graph_, dep, e->p);
        if (q < 0 || loop_[dep.row] != loop_[e->row] || schedule_[dep.row][q] != schedule_[e->row][e->p]) continue;
        wave = std::max(wave, wave_[dep.row][q] + (q != e->p));
      }
      wave_[e->row][e->p] = wave;
    }
    std::stable_sort(begin, end, [&](const Element& a, const Element& b) {
      const int32_t x = wave(a), y = wave(b);
      return x != y ? x < y : place_[a.row] < place_[b.row];
    });
  }

  const Graph& graph_;
  const Structure& s_;
  const PerRow& schedule_;
  std::vector<int> loop_;   // [row] stage of its loop, or -1
  std::vector<int> place_;  // [row] in the sequence, of rows in loops
  PerRow wave_;             // of rows in loops
};

// Cuts the elements of one step into groups.
class Grouping {
 public:
  Grouping(const Graph& graph, const Structure& s, const LoopWaves& waves)
      : graph_(graph), s_(s), waves_(waves), computed_by_(graph.values.size(), 0) {}

  void run(const Element* begin, const Element* end, Step& step) {
    while (begin < end) {
      const Element* stop = begin + 1;
      while (stop < end && stop->row == begin->row && waves_.wave(*stop) == waves_.wave(*begin)) ++stop;
      add(step, begin, stop);
      begin = stop;
    }
  }

 private:
  void add(Step& step, const Element* begin, const Element* end) {
    const Row& row = s_.rows[begin->row];
    const bool joins = !step.groups.empty() && same_positions(step.groups.back(), begin, end) &&
                       (end - begin == 1 || stays_at_its_position(row, step.groups.back()));
    if (!joins) {
      step.groups.emplace_back();
      for (const Element* e = begin; e < end; ++e) step.groups.back().positions.push_back(e->p);
      ++group_;
    }
    step.groups.back().tasks.push_back({row.node, row.cls});
    computed_by_[row.value] = group_;
  }

  static bool same_positions(const Group& group, const Element* begin, const Element* end) {
    return std::equal(group.positions.begin(), group.positions.end(), begin, end,
                      [](int32_t p, const Element& e) { return p == e.p; });
  }

  // Whatever the group has computed may be read at the same position only: always so when it has one position. Positions are
  // indices into different grids here; equal lists and an identical index are what makes "the same row of the block" true.
  bool stays_at_its_position(const Row& row, const Group& group) const {
    for (const Dep& dep : row.deps) {
      if (computed_by_[s_.rows[dep.row].value] != group_) continue;
      for (int32_t p : group.positions) {
        const int64_t q = dep_position(graph_, dep, p);
        if (q >= 0 && q != p && std::binary_search(group.positions.begin(), group.positions.end(), static_cast<int32_t>(q)))
          return false;
      }
    }
    if (row.keys < 0) return true;
    const std::vector<Dep>& keys = s_.rows[row.keys].deps;
    return std::none_of(keys.begin(), keys.end(), [&](const Dep& dep) { return computed_by_[s_.rows[dep.row].value] == group_; });
  }

  const Graph& graph_;
  const Structure& s_;
  const LoopWaves& waves_;
  std::vector<int64_t> computed_by_;  // [value] the last group that computes it
  int64_t group_ = 0;
};

}  // namespace

std::vector<Step> group_tasks(const Graph& graph, const Structure& s, const Readiness& r, const PerRow& schedule) {
  Agenda agenda = sort_by_step(s, r.steps, schedule);
  LoopWaves waves(graph, s, schedule);
  Grouping grouping(graph, s, waves);
  std::vector<Step> steps(r.steps);
  for (int32_t t = 0; t < r.steps; ++t) {
    Element* const begin = agenda.elements.data() + agenda.begin[t];
    Element* const end = agenda.elements.data() + agenda.begin[t + 1];
    waves.sort(begin, end);
    grouping.run(begin, end, steps[t]);
  }
  for (int32_t draw : r.draws) for_each_site(graph, draw, [&](int32_t site) { steps[r.draw_step[draw]].sites.push_back(site); });
  return steps;
}

}  // namespace genfast
