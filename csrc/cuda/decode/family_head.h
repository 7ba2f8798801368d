// The head of families: numbers from one distribution, its inverse CDF, or from a mixture of several of one family, which is
// searched for the smallest f32 (or integer) whose F reaches u. An item is a site of one row. The arithmetic is that of
// engine/cpu_heads_family.cc. Called by run_program.h.
#pragma once
#include "base/family_domains.h"
#include "cuda/decode/head_array.h"
#include "cuda/decode/notes.h"
#include "cuda/decode/sites.h"
#include "cuda/family_value.h"
#include "numerics/beta_families.h"
#include "numerics/closed_form.h"
#include "numerics/discrete.h"
#include "numerics/gamma_families.h"
#include "numerics/links.h"
#include "numerics/mixtures.h"
#include "numerics/student.h"
#include "numerics/von_mises.h"

namespace genfast {
namespace cuda {

GENFAST_CALL double linked(Link link, double x) {
  switch (link) {
    case Link::exp:
      return numerics::exp_f64(x);
    case Link::softplus:
      return numerics::softplus_f64(x);
    case Link::sigmoid:
      return numerics::sigmoid_f64(x);
    case Link::tanh:
      return numerics::tanh_f64(x);
    case Link::square:
      return x * x;
    default:
      return x;
  }
}

// Calls, so that the step code does not hold every family at once.
template <class D>
GENFAST_CALL double called_value(FamilyFn fn, double x, const double* p) {
  return numerics::canonical(family_value<D, double>(fn, x, p));
}
GENFAST_CALL double value_of(Family family, FamilyFn fn, double x, const double* p) {
  switch (family) {
#define X(name, params) \
  case Family::name:    \
    return called_value<numerics::name##Family>(fn, x, p);
    GENFAST_FAMILIES(X)
#undef X
    default:
      return x;
  }
}

// The numbers a mixture is searched over, in order, as integers: all f32, or the integers that doubles hold.
struct NumberGrid {
  bool integers;
  GENFAST_HD double number(int64_t i) const {
    if (integers) return static_cast<double>(i);
    const int64_t bits = i < 0 ? -int64_t{0x80000000} - i : i;
    return static_cast<double>(numerics::from_bits(static_cast<uint32_t>(bits)));
  }
  GENFAST_HD int64_t last() const { return integers ? int64_t{1} << 53 : int64_t{0x7f800000}; }  // +inf
  GENFAST_HD int64_t index(double x) const {
    if (integers) return static_cast<int64_t>(x < -0x1p53 ? -0x1p53 : x > 0x1p53 ? 0x1p53 : x);
    const auto bits = static_cast<int32_t>(numerics::to_bits(static_cast<float>(x)));
    return bits < 0 ? -int64_t{0x80000000} - bits : bits;
  }
};

// The distribution of a site in one row. What follows are calls, each with few of its own.
struct SiteDistribution {
  const HeadInfo& head;
  const float* outputs;
  const HeadArray params, weights, terms;              // params: [parameter][component]
  double largest = 0.0, log_total = 0.0, total = 0.0;  // of the mixture's logits and weights

  // memory: head_scratch().
  GENFAST_HD SiteDistribution(const HeadInfo& of, const float* row, const HeadArray& memory)
      : head(of),
        outputs(row),
        params(memory),
        weights(memory.from(of.n_params * of.components)),
        terms(weights.from(of.components)) {}

  GENFAST_HD NumberGrid grid() const { return {is_discrete(head.family)}; }
  GENFAST_HD double logit(int64_t k) const { return static_cast<double>(outputs[head.mixture_logits + k]); }
};

// The first component whose parameters make no distribution; as many as there are: the mixture's logits make none. -1: all is well.
GENFAST_CALL int64_t read_distribution(SiteDistribution& d) {
  const HeadInfo& head = d.head;
  GENFAST_UNROLL(1)
  for (int64_t k = 0; k < head.components; ++k) {
    double p[kMaxFamilyParams];
    GENFAST_UNROLL(1)
    for (int j = 0; j < head.n_params; ++j) {
      const HeadParam& param = head.params[j];
      const double x = linked(param.link, static_cast<double>(d.outputs[param.channel + k]));
      p[j] = numerics::canonical(static_cast<double>(param.scale) * x + static_cast<double>(param.shift));
      d.params.set(j * head.components + k, p[j]);
    }
    if (!in_domain(head.family, p)) return k;
  }
  if (head.components == 1) return -1;
  GENFAST_UNROLL(1)
  for (int64_t k = 0; k < head.components; ++k) d.weights.set(k, d.logit(k));
  const double total = numerics::exponentiate(d.weights, head.components, d.largest);
  d.log_total = numerics::log_f64(total);
  d.total = 0.0;
  GENFAST_UNROLL(1)
  for (int64_t k = 0; k < head.components; ++k) {
    d.weights.set(k, d.weights[k] / total);
    d.total = d.total + d.weights[k];
  }
  return total == total ? -1 : head.components;
}

GENFAST_CALL double component_value(const SiteDistribution& d, FamilyFn fn, int64_t component, double x) {
  double p[kMaxFamilyParams] = {};
  GENFAST_UNROLL(1)
  for (int j = 0; j < d.head.n_params; ++j) p[j] = d.params[j * d.head.components + component];
  return value_of(d.head.family, fn, x, p);
}

// F(x), components added in order and divided by the sum of the weights likewise, so that it ends at 1.
GENFAST_CALL double distribution_at(const SiteDistribution& d, double x) {
  if (d.head.components == 1) return component_value(d, FamilyFn::cdf, 0, x);
  double sum = 0.0;
  GENFAST_UNROLL(1)
  for (int64_t k = 0; k < d.head.components; ++k) sum = sum + d.weights[k] * component_value(d, FamilyFn::cdf, k, x);
  return sum / d.total;
}
// What F is just below a number that was drawn.
GENFAST_HD inline double distribution_below(const SiteDistribution& d, double x) {
  return distribution_at(d, d.grid().integers ? -numerics::floor(-x) - 1.0 : x);
}

GENFAST_CALL double log_prob_of(const SiteDistribution& d, double x) {
  if (d.head.components == 1) return component_value(d, FamilyFn::log_prob, 0, x);
  GENFAST_UNROLL(1)
  for (int64_t k = 0; k < d.head.components; ++k)
    d.terms.set(k, component_value(d, FamilyFn::log_prob, k, x) + ((d.logit(k) - d.largest) - d.log_total));
  return numerics::log_sum_exp<double>([&](int64_t k) { return d.terms[k]; }, d.head.components);
}

GENFAST_CALL bool reaches(const SiteDistribution& d, int64_t number, double u) {
  return distribution_at(d, d.grid().number(number)) >= u;
}

// The smallest number of the grid with F >= u. It lies between the least and the largest quantile of the components, but for
// rounding: the bracket is widened until it holds.
GENFAST_CALL double search_quantile(const SiteDistribution& d, double uniform) {
  const NumberGrid grid = d.grid();
  int64_t below = 0, reached = 0;
  GENFAST_UNROLL(1)
  for (int64_t k = 0; k < d.head.components; ++k) {
    const int64_t index = grid.index(component_value(d, FamilyFn::icdf, k, uniform));
    below = k && below < index - 1 ? below : index - 1;
    reached = k && reached > index ? reached : index;
  }
  // A u of 0 asks for the first number that has any probability below it.
  const double u = uniform < 0x1p-1074 ? 0x1p-1074 : uniform;
  for (int64_t step = 1; !reaches(d, reached, u) && reached < grid.last(); step *= 2) {
    below = reached;
    reached = reached + step < grid.last() ? reached + step : grid.last();
  }
  for (int64_t step = 1; reaches(d, below, u) && below > -grid.last(); step *= 2) {
    reached = below;
    below = below - step > -grid.last() ? below - step : -grid.last();
  }
  while (reached - below > 1) {
    const int64_t middle = below + (reached - below) / 2;
    if (reaches(d, middle, u))
      reached = middle;
    else
      below = middle;
  }
  return grid.number(reached);
}

GENFAST_HD inline double draw_number(const SiteDistribution& d, double u) {
  return d.head.components == 1 ? component_value(d, FamilyFn::icdf, 0, u) : search_quantile(d, u);
}

// Draws and scores one item. False where it has no distribution.
GENFAST_CALL bool settle_number(const TileArrays& tile, int64_t at, SiteDistribution& distribution) {
  const bool draws = tile.u && !(tile.given && tile.given[at]);
  if (read_distribution(distribution) >= 0) {
    if (draws) tile.x[at] = 0.0f;
    return false;
  }
  if (draws) tile.x[at] = static_cast<float>(draw_number(distribution, tile.u[at]));
  const double x = static_cast<double>(tile.x[at]);
  if (tile.log_prob) tile.log_prob[at] = log_prob_of(distribution, x);
  if (tile.lower) {
    tile.upper[at] = distribution_at(distribution, x);
    tile.lower[at] = distribution_below(distribution, x);
  }
  return true;
}

// In the phase behind the head's, for every item: of the first failure, its parameters. One item of a block at most is that.
GENFAST_CALL void note_parameters(const Block& b, const Site& site, int64_t step, int64_t place, int64_t r) {
  if (b.tile.good || site.logits < 0) return;
  const uint64_t key = failure_key(step, place, b.first + r);
  if (failure_now(b.failure) != key) return;
  const HeadInfo& head = b.program.head;
  SiteDistribution distribution(head, outputs_of(b, site, r), {reinterpret_cast<double*>(b.scratch), 1});
  const int64_t bad = read_distribution(distribution);
  Note* note = bad < 0 ? nullptr : new_note(b.failure, key);
  if (!note) return;
  note->component = bad;
  for (int j = 0; j < head.n_params && bad < head.components; ++j) note->params[j] = distribution.params[j * head.components + bad];
}

template <class Executor>
GENFAST_CALL void run_family(Executor& exec, const Block& b, const Site* sites, int64_t n_sites, int64_t step, int64_t place) {
  const HeadInfo& head = b.program.head;
  const int64_t items = n_sites * b.rows, together = b.scratch_floats / head_scratch(head);
  for (int64_t begin = 0; begin < items; begin += together) {
    const int64_t count = begin + together < items ? together : items - begin;
    exec.each(count, [&](int64_t n) {
      const int64_t item = begin + n, r = item % b.rows;
      const Site& site = sites[item / b.rows];
      if (site.logits < 0) return;
      SiteDistribution distribution(head, outputs_of(b, site, r), {reinterpret_cast<double*>(b.scratch) + n, count});
      if (!settle_number(b.tile, tile_index(b, site, r), distribution)) b.fail(step, place + item / b.rows, r);
    });
  }
}

}  // namespace cuda
}  // namespace genfast
