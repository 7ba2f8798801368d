#include "engine/cpu_heads.h"

#include <algorithm>

#include "base/errors.h"

namespace genfast {
namespace {

std::unique_ptr<HeadRunner> make_runner(const Graph& graph, int64_t stride) {
  switch (graph.head.kind) {
    case HeadKind::logistic_mixture:
      return make_logistic_mixture_head(graph, stride);
    case HeadKind::family:
      return make_family_head(graph, stride);
    case HeadKind::none:
      return nullptr;
    case HeadKind::categorical:
    case HeadKind::bernoulli:
      break;
  }
  return make_logits_head(graph, stride);
}

}  // namespace

void fail_at_site(int64_t row, int64_t site, const std::string& why) {
  throw NumericalError("row " + std::to_string(row) + ", site " + std::to_string(site) + ": " + why);
}

CpuHeads::CpuHeads(const Graph& graph, int64_t head_stride, int64_t input_stride)
    : graph_(graph),
      head_(graph.head),
      head_stride_(head_stride),
      input_stride_(input_stride),
      values_(head_.has_levels() ? graph.weights[static_cast<size_t>(head_.values)].data : nullptr),
      runner_(make_runner(graph, head_stride)) {}

void CpuHeads::run(const std::vector<SiteCommand>& sites, const Tile& tile, int64_t first_row) {
  if (sites.empty()) return;
  runner_->run(sites, tile, first_row);
  if (tile.logits)
    for (const SiteCommand& site : sites)
      if (site.logits) copy_logits(site, tile);
  place(sites, tile);
}

void CpuHeads::place(const std::vector<SiteCommand>& sites, const Tile& tile) const {
  if (!head_.has_levels()) return feed_numbers(sites, tile);
  for (const SiteCommand& site : sites) {
    const int64_t offset = site.site * tile.rows;
    if (tile.u && graph_.head_position(site.site) < 0)
      for (int64_t r = 0; r < tile.rows; ++r)
        if (!tile.given || !tile.given[offset + r]) tile.levels[offset + r] = static_cast<int32_t>(graph_.bos);
    if (site.input) feed(site, tile);
  }
}

// A row at a time, few sites together: sites lie side by side in a row, and rows far apart.
void CpuHeads::feed_numbers(const std::vector<SiteCommand>& sites, const Tile& tile) const {
  for (size_t first = 0; first < sites.size(); first += 16) {
    const size_t last = std::min(first + 16, sites.size());
    for (int64_t r = 0; r < tile.rows; ++r)
      for (size_t i = first; i < last; ++i)
        if (sites[i].input) sites[i].input[r * input_stride_] = tile.x[sites[i].site * tile.rows + r];
  }
}

void CpuHeads::feed(const SiteCommand& site, const Tile& tile) const {
  const int64_t offset = site.site * tile.rows;
  if (!head_.has_levels()) {
    for (int64_t r = 0; r < tile.rows; ++r) site.input[r * input_stride_] = tile.x[offset + r];
    return;
  }
  const int32_t* levels = tile.levels + offset;
  for (int64_t r = 0; r < tile.rows; ++r)
    site.input[r * input_stride_] = levels[r] < head_.levels ? values_[levels[r]] : static_cast<float>(levels[r]);
}

void CpuHeads::copy_logits(const SiteCommand& site, const Tile& tile) const {
  const int64_t count = head_channels(head_, graph_.channels());
  const int64_t places = head_.by_position() ? graph_.positions() : graph_.sites(), place = site.site % places;
  for (int64_t r = 0; r < tile.rows; ++r)
    for (int64_t k = 0; k < count; ++k) tile.logits[(r * count + k) * places + place] = site.logits[r * head_stride_ + k];
}

}  // namespace genfast
