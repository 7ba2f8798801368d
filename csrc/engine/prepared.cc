#include "engine/prepared.h"

#include <algorithm>

namespace genfast {
namespace {

constexpr size_t kMostIdle = 8;                // workspaces of one plan
constexpr size_t kMostMasked = 8;              // plans with known sites
constexpr int64_t kMostIdleFloats = 64 << 20;  // activations that idle workspaces of one plan hold, beyond the first

}  // namespace

Prepared::Prepared(std::shared_ptr<const Graph> graph, std::shared_ptr<const Plan> plan, const std::string& device)
    : plan_(plan), program_(backend(device).prepare(std::move(graph), std::move(plan))) {}

std::unique_ptr<Workspace> Prepared::take(int64_t capacity) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (size_t i = idle_.size(); i-- > 0;) {
      if (idle_[i].first != capacity) continue;
      std::unique_ptr<Workspace> workspace = std::move(idle_[i].second);
      idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
      return workspace;
    }
  }
  auto workspace = std::make_unique<Workspace>();
  workspace->decoder = program_->decoder(capacity);
  return workspace;
}

void Prepared::give_back(int64_t capacity, std::unique_ptr<Workspace> workspace) {
  std::vector<std::unique_ptr<Workspace>> dropped;  // freed after the lock
  std::lock_guard<std::mutex> lock(mutex_);
  idle_.emplace_back(capacity, std::move(workspace));
  int64_t floats = 0;
  for (const auto& [rows, idle] : idle_) floats += rows * plan_->floats_per_row;
  while (idle_.size() > 1 && (idle_.size() > kMostIdle || floats > kMostIdleFloats)) {
    floats -= idle_.front().first * plan_->floats_per_row;
    dropped.push_back(std::move(idle_.front().second));
    idle_.erase(idle_.begin());
  }
}

std::shared_ptr<Prepared> PlanCache::get(const PlanOptions& options) {
  std::shared_ptr<Entry> entry;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto same = [&](const std::shared_ptr<Entry>& e) {
      return e->options.wavefront == options.wavefront && e->options.known == options.known && e->options.output == options.output;
    };
    const auto found = std::find_if(entries_.begin(), entries_.end(), same);
    if (found == entries_.end()) {
      entry = std::make_shared<Entry>();
      entry->options = options;
    } else {
      entry = *found;
      entries_.erase(found);
    }
    entries_.push_back(entry);
    const auto masked = [](const std::shared_ptr<Entry>& e) { return !e->options.known.empty(); };
    if (std::count_if(entries_.begin(), entries_.end(), masked) > static_cast<std::ptrdiff_t>(kMostMasked))
      entries_.erase(std::find_if(entries_.begin(), entries_.end(), masked));
  }
  std::lock_guard<std::mutex> lock(entry->mutex);
  if (!entry->prepared) entry->prepared = std::make_shared<Prepared>(graph_, make_plan(*graph_, options), device_);
  return entry->prepared;
}

}  // namespace genfast
