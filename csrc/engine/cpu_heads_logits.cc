// Heads of logits: categorical (with filters and guidance) and bernoulli.
#include <algorithm>
#include <limits>

#include "engine/cpu_heads.h"
#include "kernels/filters.h"
#include "kernels/kernels.h"

namespace genfast {
namespace {

template <class T>
T* offset_by(T* base, int64_t offset) {
  return base ? base + offset : nullptr;
}

// Rows of one site, and what is read and written for each; null where it is not.
struct Rows {
  const float* logits;
  int64_t stride, rows;
  const double* u;
  int32_t* levels;
  double *log_prob, *lower, *upper;
};

class LogitsHead : public HeadRunner {
 public:
  LogitsHead(const Graph& graph, int64_t stride)
      : categorical_(graph.head.kind == HeadKind::categorical),
        probs_(graph.head.probs),
        columns_(categorical_ ? graph.head.levels : 1),
        stride_(stride) {}

  void run(const std::vector<SiteCommand>& sites, const Tile& tile, int64_t first_row) override {
    kernels_ = &active_kernels();
    for (const SiteCommand& site : sites) {
      if (!site.logits) continue;
      const int64_t bad = run_site(site, tile);
      if (bad >= 0)
        fail_at_site(first_row + bad, site.site,
                     std::string("the model's output is NaN, +inf or all -inf") +
                         (probs_ ? ", or a probability outside [0, 1]" : "") +
                         "; check the weights, the conditions and the temperature");
    }
  }

 private:
  // The first row without a distribution, or -1. So do the others below.
  int64_t run_site(const SiteCommand& site, const Tile& tile) {
    const int64_t offset = site.site * tile.rows;
    const Rows all{site.logits,
                   stride_,
                   tile.rows,
                   offset_by(tile.u, offset),
                   tile.levels + offset,
                   offset_by(tile.log_prob, offset),
                   offset_by(tile.lower, offset),
                   offset_by(tile.upper, offset)};
    const bool pairs = tile.guidance != 1;
    const Rows rows = pairs ? guide(all, tile.guidance) : all;
    int64_t bad = rows.u ? draw_missing(rows, tile, offset_by(tile.given, offset), pairs ? 2 : 1) : -1;
    if (bad < 0 && rows.log_prob) bad = score(rows, tile);
    if (bad < 0 && rows.lower) bad = interval(rows, tile);
    if (pairs && bad < 0) spread(rows, all);
    return bad;
  }

  // One row for each pair of rows: logits unconditional + guidance · (conditional - unconditional).
  Rows guide(const Rows& all, float guidance) {
    Rows half{nullptr, columns_, all.rows / 2, nullptr, nullptr, nullptr, nullptr, nullptr};
    const size_t n = static_cast<size_t>(half.rows);
    guided_.resize(n * static_cast<size_t>(columns_));
    guided_levels_.resize(n);
    guided_numbers_.resize(4 * n);
    for (int64_t i = 0; i < half.rows; ++i) {
      const float *with = all.logits + 2 * i * all.stride, *without = with + all.stride;
      float* to = guided_.data() + i * columns_;
      // Equal logits stay what they are: -inf of a level that neither allows, too.
      for (int64_t k = 0; k < columns_; ++k)
        to[k] = with[k] == without[k] ? with[k] : without[k] + guidance * (with[k] - without[k]);
      guided_levels_[static_cast<size_t>(i)] = all.levels[2 * i];
    }
    double* numbers = guided_numbers_.data();
    if (all.u) {
      for (int64_t i = 0; i < half.rows; ++i) numbers[i] = all.u[2 * i];
      half.u = numbers;
    }
    half.logits = guided_.data();
    half.levels = guided_levels_.data();
    if (all.log_prob) half.log_prob = numbers + n;
    if (all.lower) half.lower = numbers + 2 * n, half.upper = numbers + 3 * n;
    return half;
  }

  static void spread(const Rows& half, const Rows& all) {
    for (int64_t r = 0; r < all.rows; ++r) {
      all.levels[r] = half.levels[r / 2];
      if (all.log_prob) all.log_prob[r] = half.log_prob[r / 2];
      if (all.lower) all.lower[r] = half.lower[r / 2], all.upper[r] = half.upper[r / 2];
    }
  }

  // given[r * step] is row r's.
  int64_t draw_missing(const Rows& rows, const Tile& tile, const uint8_t* given, int64_t step) {
    if (!given) return draw(rows, tile, rows.levels);
    int64_t r = 0;
    while (r < rows.rows && given[r * step]) ++r;
    if (r == rows.rows) return -1;
    drawn_.resize(static_cast<size_t>(rows.rows));
    const int64_t bad = draw(rows, tile, drawn_.data());
    for (; r < rows.rows && bad < 0; ++r)
      if (!given[r * step]) rows.levels[r] = drawn_[static_cast<size_t>(r)];
    return bad;
  }

  int64_t draw(const Rows& rows, const Tile& tile, int32_t* levels) {
    if (!categorical_) return kernels_->bernoulli(levels, rows.logits, rows.stride, probs_, rows.u, tile.temperature, rows.rows);
    if (!tile.filters.any())
      return kernels_->categorical(levels, rows.logits, rows.stride, rows.u, tile.temperature, rows.rows, columns_);
    for (int64_t r = 0; r < rows.rows; ++r) {
      if (!keep(rows, r, tile)) return r;
      int32_t rank;
      kernels_->categorical(&rank, kept_.z.data(), kept(), rows.u + r, 1.0f, 1, kept());
      levels[r] = kept_.index[static_cast<size_t>(rank)];
    }
    return -1;
  }

  int64_t score(const Rows& rows, const Tile& tile) {
    std::fill(rows.log_prob, rows.log_prob + rows.rows, 0.0);
    if (!categorical_)
      return kernels_->bernoulli_log_prob(rows.log_prob, rows.logits, rows.stride, probs_, rows.levels, tile.temperature,
                                          rows.rows);
    if (!tile.filters.any())
      return kernels_->categorical_log_prob(rows.log_prob, rows.logits, rows.stride, rows.levels, tile.temperature, rows.rows,
                                            columns_);
    for (int64_t r = 0; r < rows.rows; ++r) {
      if (!keep(rows, r, tile)) return r;
      const int32_t rank = rank_of(rows.levels[r]);
      if (rank >= 0)
        kernels_->categorical_log_prob(rows.log_prob + r, kept_.z.data(), kept(), &rank, 1.0f, 1, kept());
      else
        rows.log_prob[r] = -std::numeric_limits<double>::infinity();
    }
    return -1;
  }

  int64_t interval(const Rows& rows, const Tile& tile) {
    if (!categorical_)
      return kernels_->bernoulli_interval(rows.lower, rows.upper, rows.logits, rows.stride, probs_, rows.levels, tile.temperature,
                                          rows.rows);
    if (!tile.filters.any())
      return kernels_->categorical_interval(rows.lower, rows.upper, rows.logits, rows.stride, rows.levels, tile.temperature,
                                            rows.rows, columns_);
    for (int64_t r = 0; r < rows.rows; ++r) {
      if (!keep(rows, r, tile)) return r;
      const int32_t rank = rank_of(rows.levels[r]), below = rank >= 0 ? rank : -1 - rank - 1;  // ranked just below a level not kept
      if (below >= 0)
        kernels_->categorical_interval(rows.lower + r, rows.upper + r, kept_.z.data(), kept(), &below, 1.0f, 1, kept());
      else
        rows.upper[r] = 0.0;
      if (rank < 0) rows.lower[r] = rows.upper[r];
    }
    return -1;
  }

  // What the filters leave of row r, as logits of their own.
  bool keep(const Rows& rows, int64_t r, const Tile& tile) {
    tempered_.resize(static_cast<size_t>(columns_));
    const double temperature = static_cast<double>(tile.temperature);
    kernels_->rows->temper[static_cast<int>(LogitType::f32)](tempered_.data(), rows.logits + r * rows.stride, columns_,
                                                             temperature);
    return filter_row(*kernels_->rows, tempered_.data(), columns_, {tile.filters.top_k, tile.filters.top_p, tile.filters.min_p},
                      kept_);
  }
  int64_t kept() const { return static_cast<int64_t>(kept_.z.size()); }
  // A level's rank among the kept, or -1 - the rank it would have.
  int32_t rank_of(int32_t level) const {
    const auto at = std::lower_bound(kept_.index.begin(), kept_.index.end(), level);
    const int32_t rank = static_cast<int32_t>(at - kept_.index.begin());
    return at != kept_.index.end() && *at == level ? rank : -1 - rank;
  }

  const bool categorical_, probs_;
  const int64_t columns_, stride_;
  const Kernels* kernels_ = nullptr;

  // Working memory, kept from site to site.
  std::vector<float> guided_, tempered_;
  std::vector<int32_t> guided_levels_, drawn_;
  std::vector<double> guided_numbers_;  // u, log_prob, lower, upper
  KeptRow<float> kept_;
};

}  // namespace

std::unique_ptr<HeadRunner> make_logits_head(const Graph& graph, int64_t stride) {
  return std::make_unique<LogitsHead>(graph, stride);
}

}  // namespace genfast
