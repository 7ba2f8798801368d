// Heads on the CPU: what happens at the sites of a step once the network has computed their distributions. Levels are drawn from
// uniforms or taken as given, scored where asked for, and what the network is fed is written to value 0. Called by cpu_decoder.cc;
// knows the head and the tile, never the network. One file a kind of head: cpu_heads_*.cc.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/cpu_commands.h"

namespace genfast {

// One kind of head.
class HeadRunner {
 public:
  virtual ~HeadRunner() = default;
  // Draws and scores the sites of a step that have a distribution. Throws NumericalError.
  virtual void run(const std::vector<SiteCommand>& sites, const Tile& tile, int64_t first_row) = 0;
};

// stride: floats between rows of the head's value.
std::unique_ptr<HeadRunner> make_logits_head(const Graph& graph, int64_t stride);
std::unique_ptr<HeadRunner> make_logistic_mixture_head(const Graph& graph, int64_t stride);
std::unique_ptr<HeadRunner> make_family_head(const Graph& graph, int64_t stride);

[[noreturn]] void fail_at_site(int64_t row, int64_t site, const std::string& why);

class CpuHeads {
 public:
  CpuHeads(const Graph& graph, int64_t head_stride, int64_t input_stride);

  // Errors name the row of the tile (with guidance: the pair of rows) on top of first_row, and the site.
  void run(const std::vector<SiteCommand>& sites, const Tile& tile, int64_t first_row);
  // Writes what the network is fed at sites that are given, or that have no distribution and take the level bos.
  void place(const std::vector<SiteCommand>& sites, const Tile& tile) const;

 private:
  void copy_logits(const SiteCommand& site, const Tile& tile) const;
  void feed(const SiteCommand& site, const Tile& tile) const;
  void feed_numbers(const std::vector<SiteCommand>& sites, const Tile& tile) const;

  const Graph& graph_;
  const Head& head_;
  const int64_t head_stride_, input_stride_;
  const float* values_;
  std::unique_ptr<HeadRunner> runner_;
};

}  // namespace genfast
