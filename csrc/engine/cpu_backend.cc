#include <unistd.h>

#include <algorithm>

#include "engine/cpu_decoder.h"

namespace genfast {
namespace {

// A row-tile's activations should stay in L2 together with the weights in use.
int64_t l2_bytes() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  const long size = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (size > 0) return size;
#endif
  return 1 << 20;
}

class CpuProgram : public Program {
 public:
  explicit CpuProgram(std::shared_ptr<const CpuPlan> cpu_plan) : cpu_plan_(std::move(cpu_plan)) {
    for (const auto& node : cpu_plan_->pieces)
      for (const auto& pieces : node)
        for (const auto& piece : pieces) weight_bytes_ += piece->k_rows * round_up(piece->columns, 16) * info(piece->type).bytes;
    rows_a_thread_ = weight_bytes_ > kCachedWeights ? 8 : 2;
  }

  std::unique_ptr<Decoder> decoder(int64_t capacity) const override { return make_cpu_decoder(cpu_plan_, capacity); }

  int64_t tile_rows(int64_t rows, int threads) const override {
    const int64_t per_row = std::max<int64_t>(1, cpu_plan_->plan->floats_per_row * 4);
    // Every tile streams weights that no cache holds: then its activations may take as much traffic as they do.
    const bool streams = weight_bytes_ > kCachedWeights;
    const int64_t room = std::max(l2_bytes() / 2, streams ? weight_bytes_ / 4 : 0);
    const int64_t cached = std::clamp<int64_t>(room / per_row, kFewestRows, streams ? 4 * kMostRows : kMostRows);
    const int64_t fits = std::clamp<int64_t>(kMostBytes / per_row, 1, cached);
    int64_t tiles = (rows + fits - 1) / fits;
    if (rows >= rows_a_thread_ * threads) tiles = round_up(tiles, threads);
    return (rows + tiles - 1) / tiles;
  }

 private:
  // Below this, weights are read too often; above, nothing is gained and small requests split badly.
  static constexpr int64_t kFewestRows = 16, kMostRows = 64;
  // Of one tile's activations, whatever the number of rows that would suit the weights: long caches of keys and values.
  static constexpr int64_t kMostBytes = int64_t{2} << 30;
  // Threads that all stream the same weights from memory need some rows each to be worth it.
  static constexpr int64_t kCachedWeights = int64_t{32} << 20;
  std::shared_ptr<const CpuPlan> cpu_plan_;
  int64_t weight_bytes_ = 0, rows_a_thread_ = 2;
};

class CpuBackend : public Backend {
 public:
  std::shared_ptr<const Program> prepare(std::shared_ptr<const Graph> graph, std::shared_ptr<const Plan> plan) const override {
    auto cpu_plan = std::make_shared<CpuPlan>();
    cpu_plan->pieces.resize(graph->nodes.size());
    for (size_t i = 0; i < graph->nodes.size(); ++i) {
      if (graph->nodes[i].kind != NodeKind::gemm) continue;
      for (const PlanClass& cls : plan->classes[i]) cpu_plan->pieces[i].push_back(gemm_pieces(*graph, graph->nodes[i], cls));
    }
    cpu_plan->graph = std::move(graph);
    cpu_plan->plan = std::move(plan);
    return std::make_shared<CpuProgram>(std::move(cpu_plan));
  }
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend() { return std::make_unique<CpuBackend>(); }

}  // namespace genfast
