// Plans made ready to run, and the memory their decoders reuse from call to call. Made by model.cc, one PlanCache a Model;
// tile_run.cc leases a Workspace for the length of a tile. It decides nothing about what is drawn.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/backend.h"
#include "graph/graph.h"
#include "plan/plan.h"

namespace genfast {

// A decoder with the arrays of its tile, kept between calls: fresh pages cost more than decoding a small tile.
struct Workspace {
  std::unique_ptr<Decoder> decoder;
  Tile tile;
  std::vector<int32_t> levels;  // [site][row], as everything below
  std::vector<float> x;         // heads without levels
  std::vector<uint8_t> given;
  std::vector<double> u, log_prob, lower, upper;
  std::vector<double> row;                     // uniforms of one row
  std::vector<int32_t> rolls;                  // [row][2] of a round
  std::vector<std::vector<float>> conditions;  // guided tiles: conditional and unconditional rows in turn
};

// A plan's program and the idle workspaces made for it.
class Prepared {
 public:
  // Throws what the backend of that name does, ArgumentError where there is none.
  Prepared(std::shared_ptr<const Graph> graph, std::shared_ptr<const Plan> plan, const std::string& device);

  const Plan& plan() const { return *plan_; }
  int64_t tile_rows(int64_t rows, int threads) const { return program_->tile_rows(rows, threads); }
  int64_t steps_at_once() const { return program_->steps_at_once(); }
  bool counts_uniforms() const { return program_->counts_uniforms(); }
  const std::shared_ptr<const Program>& program() const { return program_; }

  // A workspace for the length of a tile; it comes back even when the tile throws.
  class Lease {
   public:
    Lease(std::shared_ptr<Prepared> owner, int64_t capacity)
        : owner_(std::move(owner)), capacity_(capacity), workspace_(owner_->take(capacity)) {}
    ~Lease() { owner_->give_back(capacity_, std::move(workspace_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Workspace& operator*() { return *workspace_; }
    Workspace* operator->() { return workspace_.get(); }

   private:
    std::shared_ptr<Prepared> owner_;
    int64_t capacity_;
    std::unique_ptr<Workspace> workspace_;
  };

 private:
  std::unique_ptr<Workspace> take(int64_t capacity);
  void give_back(int64_t capacity, std::unique_ptr<Workspace> workspace);

  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<const Program> program_;
  std::mutex mutex_;
  std::vector<std::pair<int64_t, std::unique_ptr<Workspace>>> idle_;
};

// The plans of one graph on one device. Those without known sites stay; of the others, the few used last.
class PlanCache {
 public:
  PlanCache(std::shared_ptr<const Graph> graph, std::string device) : graph_(std::move(graph)), device_(std::move(device)) {}
  // Plans at the first call for these options; calls for other options do not wait for it. Throws what make_plan does.
  std::shared_ptr<Prepared> get(const PlanOptions& options);

 private:
  struct Entry {
    PlanOptions options;
    std::mutex mutex;
    std::shared_ptr<Prepared> prepared;
  };

  std::shared_ptr<const Graph> graph_;
  std::string device_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Entry>> entries_;  // the one used last comes last
};

}  // namespace genfast
