// Which operations may run in one phase of a device program, each in the thread that computed its element. Called by
// compile_program.cc alone; it knows what commands read and write, not what they compute.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cuda/decode/program.h"

namespace genfast {
namespace cuda {

// What the commands of one phase touch, element by element: whether one more operation may follow in the same thread. A place is a
// slot of the memory plan, so that two accesses meet only where they have a place in common.
class Phase {
 public:
  Phase(const std::vector<int32_t>& places, int32_t positions, int32_t columns)
      : places_(places), positions_(positions), columns_(columns) {}

  // elementwise: by the thread of the same element.
  void read(const Access& at, int32_t columns, bool elementwise) { add(at, columns, elementwise, false); }
  void write(const Access& at) { add(at, columns_, true, true); }

  // Whether an operation that reads `in` (broadcast or not) may run behind what there is: what it reads of the phase is its own.
  bool may_read(const Access& at, bool broadcast) const {
    return none(at, broadcast ? 1 : columns_, [&](const Entry& e) { return e.writes && (broadcast || !same(e.at, at)); });
  }
  bool may_write(const Access& at) const {
    return none(at, columns_, [&](const Entry& e) { return !(e.elementwise && same(e.at, at)); });
  }
  // Whether `at` is what the last operation wrote.
  bool is_last(const Access& at) const {
    for (size_t k = entries_.size(); k-- > 0;)
      if (entries_[k].writes) return same(entries_[k].at, at);
    return false;
  }

 private:
  struct Entry {
    Access at;
    int32_t columns;
    bool elementwise, writes;
  };

  static bool same(const Access& a, const Access& b) {
    return a.places == b.places && a.stride == b.stride && a.channel == b.channel && a.constant == b.constant;
  }

  void add(const Access& at, int32_t columns, bool elementwise, bool writes) {
    if (at.constant) return;
    const auto index = static_cast<int32_t>(entries_.size());
    entries_.push_back({at, columns, elementwise, writes});
    for (int32_t i = 0; i < positions_; ++i) {
      const int32_t place = places_[static_cast<size_t>(at.places + i)];
      if (place >= 0) users_[place].push_back({index, i});
    }
  }

  template <class Wrong>
  bool none(const Access& at, int32_t columns, const Wrong& wrong) const {
    if (at.constant) return true;
    for (int32_t i = 0; i < positions_; ++i) {
      const auto users = users_.find(places_[static_cast<size_t>(at.places + i)]);
      if (users == users_.end()) continue;
      for (const auto& [index, position] : users->second) {
        const Entry& e = entries_[static_cast<size_t>(index)];
        const bool apart = position == i && (e.at.channel + e.columns <= at.channel || at.channel + columns <= e.at.channel);
        if (!apart && (position != i || wrong(e))) return false;
      }
    }
    return true;
  }

  const std::vector<int32_t>& places_;
  const int32_t positions_, columns_;
  std::vector<Entry> entries_;
  std::unordered_map<int32_t, std::vector<std::pair<int32_t, int32_t>>> users_;  // place -> (entry, position)
};

}  // namespace cuda
}  // namespace genfast
