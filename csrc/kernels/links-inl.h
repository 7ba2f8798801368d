// Parameters of distributions from a network's outputs: links, and the weights of mixtures. Elements are lanes; element i has a row
// of its own. Included once per target by targets/<target>_heads.cc.
#include "numerics/links.h"
#include "numerics/mixtures.h"

namespace genfast {
namespace GENFAST_NS {
namespace {

constexpr int kHeadLanes = kFamilyLanes;
using head_lanes = family_lanes;

// to[k * kHeadLanes + i] = rows[i][channel + k], k < count, of the lanes from `first` on; lanes past n repeat the last element.
GENFAST_INLINE void gather(double* to, const float* const* rows, int64_t first, int64_t n, int64_t channel, int64_t count) {
  for (int64_t i = 0; i < kHeadLanes; ++i) {
    const float* row = rows[first + i < n ? first + i : n - 1] + channel;
    for (int64_t k = 0; k < count; ++k) to[k * kHeadLanes + i] = static_cast<double>(row[k]);
  }
}

struct Link_identity {
  static GENFAST_INLINE_MEMBER head_lanes apply(head_lanes x) { return x; }
};
struct Link_exp {
  static GENFAST_INLINE_MEMBER head_lanes apply(head_lanes x) { return numerics::exp_f64(x); }
};
struct Link_softplus {
  static GENFAST_INLINE_MEMBER head_lanes apply(head_lanes x) { return numerics::softplus_f64(x); }
};
struct Link_sigmoid {
  static GENFAST_INLINE_MEMBER head_lanes apply(head_lanes x) { return numerics::sigmoid_f64(x); }
};
struct Link_tanh {
  static GENFAST_INLINE_MEMBER head_lanes apply(head_lanes x) { return numerics::tanh_f64(x); }
};
struct Link_square {
  static GENFAST_INLINE_MEMBER head_lanes apply(head_lanes x) { return x * x; }
};

template <class L>
void link(double* out, const float* const* rows, int64_t channel, int64_t n, double scale, double shift) {
  for (int64_t m = 0; m < n; m += kHeadLanes) {
    alignas(64) double x[kHeadLanes];
    gather(x, rows, m, n, channel, 1);
    numerics::canonical(head_lanes(scale) * L::apply(head_lanes::load(x)) + head_lanes(shift)).store_n(out + m, n - m);
  }
}

// One lane of elements for each number k, in the memory of a kernel.
struct HeadArray {
  double* data;
  GENFAST_INLINE_MEMBER head_lanes operator[](int64_t k) const { return head_lanes::load(data + k * kHeadLanes); }
  GENFAST_INLINE_MEMBER void set(int64_t k, head_lanes x) const { x.store(data + k * kHeadLanes); }
};

int64_t mixture_weights(double* weights, double* log_weights, const float* const* rows, int64_t channel, int64_t components,
                        int64_t n) {
  alignas(64) double z[kMostComponents * kHeadLanes], w[kMostComponents * kHeadLanes];
  int64_t bad = -1;
  for (int64_t m = 0; m < n; m += kHeadLanes) {
    gather(z, rows, m, n, channel, components);
    memcpy(w, z, static_cast<size_t>(components * kHeadLanes) * sizeof(double));
    head_lanes largest;
    const head_lanes total = numerics::exponentiate(HeadArray{w}, components, largest), log_total = numerics::log_f64(total);
    alignas(64) double sums[kHeadLanes];
    total.store(sums);
    for (int64_t i = 0; i < kHeadLanes && m + i < n && bad < 0; ++i)
      if (!(sums[i] == sums[i])) bad = m + i;
    for (int64_t k = 0; k < components; ++k) {
      (head_lanes::load(w + k * kHeadLanes) / total).store_n(weights + k * n + m, n - m);
      ((head_lanes::load(z + k * kHeadLanes) - largest) - log_total).store_n(log_weights + k * n + m, n - m);
    }
  }
  return bad;
}

void log_sum_exp(double* out, const double* terms, int64_t components, int64_t n) {
  for (int64_t m = 0; m < n; m += kHeadLanes) {
    const auto term = [&](int64_t k) __attribute__((always_inline)) { return head_lanes::load_n(terms + k * n + m, n - m, 0.0); };
    numerics::log_sum_exp<head_lanes>(term, components).store_n(out + m, n - m);
  }
}

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
