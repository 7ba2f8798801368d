// The family head: numbers from one of the distribution families, or from a mixture of several of one. A single distribution is its
// inverse CDF; a mixture is searched for the smallest f32 (or integer) whose F reaches u.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "base/errors.h"
#include "base/family_domains.h"
#include "base/family_messages.h"
#include "engine/cpu_heads.h"
#include "kernels/kernels.h"

namespace genfast {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

static_assert(static_cast<size_t>(Link::count) == std::extent_v<decltype(HeadKernels::link)>, "every link has a kernel");

// The numbers a mixture is searched over, in order, as integers: all f32, or the integers that doubles hold.
struct Grid {
  bool integers;
  double number(int64_t i) const {
    if (integers) return static_cast<double>(i);
    const int32_t bits = static_cast<int32_t>(i < 0 ? std::numeric_limits<int32_t>::min() - i : i);
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return static_cast<double>(x);
  }
  int64_t last() const { return integers ? int64_t{1} << 53 : 0x7f800000; }  // +inf
  int64_t index(double x) const {
    if (integers) return static_cast<int64_t>(std::clamp(x, -0x1p53, 0x1p53));
    const float y = static_cast<float>(x);
    int32_t bits;
    std::memcpy(&bits, &y, sizeof bits);
    return bits < 0 ? std::numeric_limits<int32_t>::min() - int64_t{bits} : bits;
  }
};

class FamilyHead : public HeadRunner {
 public:
  FamilyHead(const Graph& graph, int64_t stride)
      : head_(graph.head),
        stride_(stride),
        grid_{is_discrete(head_.family)},
        parameters_(head_.params.size() * static_cast<size_t>(head_.components * kElements)),
        weights_(static_cast<size_t>(head_.components * kElements)),
        log_weights_(weights_.size()),
        terms_(weights_.size()) {}

  void run(const std::vector<SiteCommand>& sites, const Tile& tile, int64_t first_row) override {
    kernels_ = &active_kernels();
    for (const SiteCommand& site : sites)
      for (int64_t begin = 0; begin < tile.rows; begin += kElements) {
        n_ = std::min(kElements, tile.rows - begin);
        for (int64_t i = 0; i < n_; ++i) rows_[static_cast<size_t>(i)] = site.logits + (begin + i) * stride_;
        read_parameters(first_row + begin, site.site);
        run_elements(tile, site.site * tile.rows + begin);
      }
  }

 private:
  static constexpr int64_t kElements = 256;  // of a call, so that its arrays stay in the caches

  using Numbers = std::array<double, kElements>;

  const double* parameter(size_t j, int64_t component) const {
    return parameters_.data() + (static_cast<int64_t>(j) * head_.components + component) * n_;
  }

  void read_parameters(int64_t first_row, int64_t site) {
    const HeadKernels& kernels = *kernels_->heads;
    const int64_t components = head_.components;
    for (size_t j = 0; j < head_.params.size(); ++j)
      for (int64_t k = 0; k < components; ++k) {
        const HeadParam& param = head_.params[j];
        kernels.link[static_cast<int>(param.link)](parameters_.data() + (static_cast<int64_t>(j) * components + k) * n_,
                                                   rows_.data(), param.channel + k, n_, static_cast<double>(param.scale),
                                                   static_cast<double>(param.shift));
      }
    const bool mixed = components > 1;
    const int64_t bad =
        mixed ? kernels.mixture_weights(weights_.data(), log_weights_.data(), rows_.data(), head_.mixture_logits, components, n_)
              : -1;
    for (int64_t i = 0; i < n_; ++i) {
      for (int64_t k = 0; k < components; ++k) {
        double p[kMaxFamilyParams];
        for (size_t j = 0; j < head_.params.size(); ++j) p[j] = parameter(j, k)[i];
        if (!in_domain(head_.family, p)) fail_at_site(first_row + i, site, no_distribution(head_.family, p, mixed ? k : -1));
      }
      if (i == bad) fail_at_site(first_row + i, site, no_mixture());
    }
    if (!mixed) return;
    for (size_t i = 0; i < static_cast<size_t>(n_); ++i) {
      totals_[i] = 0.0;
      for (int64_t k = 0; k < components; ++k) totals_[i] += weights_[static_cast<size_t>(k * n_) + i];
    }
  }

  void run_elements(const Tile& tile, int64_t at) {
    if (tile.u) {
      Numbers x;
      if (head_.components == 1)
        apply(FamilyFn::icdf, 0, tile.u + at, x.data());
      else
        search(tile.u + at, x.data());
      for (int64_t i = 0; i < n_; ++i)
        if (!tile.given || !tile.given[at + i]) tile.x[at + i] = static_cast<float>(x[static_cast<size_t>(i)]);
    }
    Numbers x, y;
    for (int64_t i = 0; i < n_; ++i) x[static_cast<size_t>(i)] = static_cast<double>(tile.x[at + i]);
    if (tile.log_prob) {
      log_prob(x.data(), y.data());
      std::copy(y.begin(), y.begin() + n_, tile.log_prob + at);
    }
    if (tile.lower) {
      distribution(x.data(), y.data());
      std::copy(y.begin(), y.begin() + n_, tile.upper + at);
      if (grid_.integers) {
        for (int64_t i = 0; i < n_; ++i) x[static_cast<size_t>(i)] = std::ceil(x[static_cast<size_t>(i)]) - 1.0;
        distribution(x.data(), y.data());
      }
      std::copy(y.begin(), y.begin() + n_, tile.lower + at);
    }
  }

  void apply(FamilyFn fn, int64_t component, const double* x, double* out) const {
    ElementArgs args{};
    args.out = out;
    args.x = x;
    args.n = n_;
    for (size_t j = 0; j < head_.params.size(); ++j) args.params[j] = parameter(j, component);
    kernels_->elementwise(head_.family)[fn](args);
  }

  void log_prob(const double* x, double* out) {
    if (head_.components == 1) return apply(FamilyFn::log_prob, 0, x, out);
    for (int64_t k = 0; k < head_.components; ++k) {
      double* term = terms_.data() + k * n_;
      apply(FamilyFn::log_prob, k, x, term);
      for (int64_t i = 0; i < n_; ++i) term[i] += log_weights_[static_cast<size_t>(k * n_ + i)];
    }
    kernels_->heads->log_sum_exp(out, terms_.data(), head_.components, n_);
  }

  // F(x), components added in order and divided by the sum of the weights likewise, so that it ends at 1.
  void distribution(const double* x, double* out) {
    if (head_.components == 1) return apply(FamilyFn::cdf, 0, x, out);
    std::fill(out, out + n_, 0.0);
    Numbers f;
    for (int64_t k = 0; k < head_.components; ++k) {
      apply(FamilyFn::cdf, k, x, f.data());
      for (int64_t i = 0; i < n_; ++i) out[i] += weights_[static_cast<size_t>(k * n_ + i)] * f[static_cast<size_t>(i)];
    }
    for (int64_t i = 0; i < n_; ++i) out[i] /= totals_[static_cast<size_t>(i)];
  }

  // The smallest number of the grid with F >= u, every element on its own. It lies between the least and the largest quantile of
  // the components, but for rounding: the bracket is widened until it holds.
  void search(const double* uniforms, double* out) {
    std::array<int64_t, kElements> below, reached;
    Numbers u, x, f;
    for (int64_t k = 0; k < head_.components; ++k) {
      apply(FamilyFn::icdf, k, uniforms, x.data());
      for (size_t i = 0; i < static_cast<size_t>(n_); ++i) {
        const int64_t index = grid_.index(x[i]);
        below[i] = k ? std::min(below[i], index - 1) : index - 1;
        reached[i] = k ? std::max(reached[i], index) : index;
      }
    }
    // A u of 0 asks for the first number that has any probability below it.
    for (size_t i = 0; i < static_cast<size_t>(n_); ++i) u[i] = std::max(uniforms[i], std::numeric_limits<double>::denorm_min());

    const auto evaluate = [&](const std::array<int64_t, kElements>& at) {
      for (size_t i = 0; i < static_cast<size_t>(n_); ++i) x[i] = grid_.number(at[i]);
      distribution(x.data(), f.data());
    };
    bool again = true;
    for (int64_t step = 1; again; step *= 2) {
      evaluate(reached);
      again = false;
      for (size_t i = 0; i < static_cast<size_t>(n_); ++i)
        if (!(f[i] >= u[i]) && reached[i] < grid_.last()) {
          below[i] = reached[i];
          reached[i] = std::min(reached[i] + step, grid_.last());
          again = true;
        }
    }
    again = true;
    for (int64_t step = 1; again; step *= 2) {
      evaluate(below);
      again = false;
      for (size_t i = 0; i < static_cast<size_t>(n_); ++i)
        if (f[i] >= u[i] && below[i] > -grid_.last()) {
          reached[i] = below[i];
          below[i] = std::max(below[i] - step, -grid_.last());
          again = true;
        }
    }
    std::array<int64_t, kElements> middle;
    for (again = true; again;) {
      again = false;
      for (size_t i = 0; i < static_cast<size_t>(n_); ++i) {
        middle[i] = below[i] + (reached[i] - below[i]) / 2;
        again |= reached[i] - below[i] > 1;
      }
      if (!again) break;
      evaluate(middle);
      for (size_t i = 0; i < static_cast<size_t>(n_); ++i)
        if (reached[i] - below[i] > 1) (f[i] >= u[i] ? reached : below)[i] = middle[i];
    }
    for (size_t i = 0; i < static_cast<size_t>(n_); ++i) out[i] = grid_.number(reached[i]);
  }

  const Head& head_;
  const int64_t stride_;
  const Grid grid_;
  const Kernels* kernels_ = nullptr;

  // Of the elements at hand: [parameter][component][element], and [component][element].
  int64_t n_ = 0;
  std::array<const float*, kElements> rows_{};
  std::vector<double> parameters_, weights_, log_weights_, terms_;
  Numbers totals_;  // of the weights
};

}  // namespace

std::unique_ptr<HeadRunner> make_family_head(const Graph& graph, int64_t stride) {
  return std::make_unique<FamilyHead>(graph, stride);
}

}  // namespace genfast
