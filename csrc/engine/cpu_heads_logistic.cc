// The logistic mixture head: gathers the positions of a step into rows of lanes, whatever channels of them it draws.
#include <algorithm>
#include <vector>

#include "base/errors.h"
#include "engine/cpu_heads.h"
#include "kernels/kernels.h"

namespace genfast {
namespace {

class LogisticMixtureHead : public HeadRunner {
 public:
  LogisticMixtureHead(const Graph& graph, int64_t stride)
      : head_(graph.head),
        stride_(stride),
        positions_(graph.positions()),
        channels_(graph.channels()),
        place_of_(static_cast<size_t>(positions_), -1) {}

  void run(const std::vector<SiteCommand>& sites, const Tile& tile, int64_t first_row) override {
    find_places(sites);
    const int64_t elements = static_cast<int64_t>(places_.size()) * tile.rows;
    for (int64_t begin = 0; begin < elements; begin += kElements)
      run_elements(tile, first_row, begin, std::min(kElements, elements - begin));
  }

 private:
  static constexpr int64_t kElements = 512;  // of a call, so that its arrays stay in the caches

  struct Place {
    int64_t position;
    const float* outputs;  // row 0
    int32_t first_site;
  };

  void find_places(const std::vector<SiteCommand>& sites) {
    places_.clear();
    here_.clear();
    for (const SiteCommand& site : sites) {
      int32_t& at = place_of_[static_cast<size_t>(site.site % positions_)];
      if (at < 0) {
        at = static_cast<int32_t>(places_.size());
        places_.push_back({site.site % positions_, site.logits, site.site});
        here_.resize(here_.size() + static_cast<size_t>(channels_));
      }
      here_[static_cast<size_t>(at * channels_ + site.site / positions_)] = 1;
    }
    for (const Place& place : places_) place_of_[static_cast<size_t>(place.position)] = -1;
  }

  // Elements [begin, begin + n) of the step: position after position, row after row.
  void run_elements(const Tile& tile, int64_t first_row, int64_t begin, int64_t n) {
    const size_t size = static_cast<size_t>(channels_ * n);
    rows_.resize(static_cast<size_t>(n));
    levels_.resize(size), given_.resize(size);
    u_.resize(size), log_prob_.resize(size), lower_.resize(size), upper_.resize(size);
    const auto each = [&](const auto& visit) {
      for (int64_t m = 0; m < n; ++m) {
        const int64_t place = (begin + m) / tile.rows, row = (begin + m) % tile.rows;
        for (int64_t c = 0; c < channels_; ++c)
          visit(static_cast<size_t>(c * n + m), (c * positions_ + places_[static_cast<size_t>(place)].position) * tile.rows + row,
                here_[static_cast<size_t>(place * channels_ + c)] != 0);
      }
    };
    for (int64_t m = 0; m < n; ++m)
      rows_[static_cast<size_t>(m)] =
          places_[static_cast<size_t>((begin + m) / tile.rows)].outputs + (begin + m) % tile.rows * stride_;
    each([&](size_t here, int64_t there, bool drawn) {
      levels_[here] = tile.levels[there];
      if (!tile.u) return;
      u_[here] = tile.u[there];
      given_[here] = !drawn || (tile.given && tile.given[there]);
    });

    LogisticMixtureArgs args{};
    args.rows = rows_.data();
    args.n = n;
    args.channels = channels_;
    args.components = head_.components;
    args.coupled = head_.coupled;
    args.low = static_cast<double>(head_.low);
    args.step = (static_cast<double>(head_.high) - args.low) / static_cast<double>(head_.levels - 1);
    args.levels = head_.levels;
    args.u = tile.u ? u_.data() : nullptr;
    args.given = tile.u ? given_.data() : nullptr;
    args.level = levels_.data();
    args.log_prob = tile.log_prob ? log_prob_.data() : nullptr;
    args.lower = tile.lower ? lower_.data() : nullptr;
    args.upper = tile.lower ? upper_.data() : nullptr;
    const int64_t bad = active_kernels().heads->logistic_mixture(args);
    if (bad >= 0)
      fail_at_site(first_row + (begin + bad) % tile.rows, places_[static_cast<size_t>((begin + bad) / tile.rows)].first_site,
                   "the parameters of the mixture of logistics are not finite; check the weights and the conditions");

    each([&](size_t here, int64_t there, bool drawn) {
      if (!drawn) return;
      tile.levels[there] = levels_[here];
      if (tile.log_prob) tile.log_prob[there] = log_prob_[here];
      if (tile.lower) tile.lower[there] = lower_[here], tile.upper[there] = upper_[here];
    });
  }

  const Head& head_;
  const int64_t stride_, positions_, channels_;

  // Working memory, kept from step to step. place_of_: [position], -1 between calls.
  std::vector<int32_t> place_of_;
  std::vector<Place> places_;
  std::vector<uint8_t> here_;  // [place][channel]: whether the step draws it
  std::vector<const float*> rows_;
  std::vector<int32_t> levels_;
  std::vector<uint8_t> given_;
  std::vector<double> u_, log_prob_, lower_, upper_;
};

}  // namespace

std::unique_ptr<HeadRunner> make_logistic_mixture_head(const Graph& graph, int64_t stride) {
  return std::make_unique<LogisticMixtureHead>(graph, stride);
}

}  // namespace genfast
