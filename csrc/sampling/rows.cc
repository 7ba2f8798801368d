#include "sampling/rows.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "base/float_env.h"
#include "base/thread_pool.h"
#include "kernels/filters.h"

namespace genfast {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kDrawTask = 1 << 16;  // draws from a table that one task makes
constexpr int64_t kRowTask = 1 << 17;   // categories that one task of rows reads

int64_t element_size(LogitType type) { return type == LogitType::f64 ? 8 : type == LogitType::f32 ? 4 : 2; }

const void* row_data(const CategoricalRows& rows, int64_t r) {
  return static_cast<const char*>(rows.data) + r * rows.stride * element_size(rows.type);
}

// What it costs to make a table is what some 16 categories a draw cost without one.
bool worth_a_table(int64_t draws, int64_t columns) { return draws >= 64 && draws >= columns / 16; }

// One thread's working memory for rows that are not simply handed to a kernel.
struct RowWork {
  std::vector<float> z32;
  std::vector<double> z64, weight, cumulative;
  KeptRow<float> kept32;
  KeptRow<double> kept64;
  std::vector<int32_t> level;
};

template <class Real>
struct Parts {
  std::vector<Real>& z;
  KeptRow<Real>& kept;
};
template <class Real>
Parts<Real> parts(RowWork& work) {
  if constexpr (sizeof(Real) == 4) {
    return {work.z32, work.kept32};
  } else {
    return {work.z64, work.kept64};
  }
}

// Tempers and filters row r. False when it has no distribution.
template <class Real>
bool keep(const CategoricalRows& rows, const RowKernels& kernels, int64_t r, RowWork& work) {
  const auto [z, kept] = parts<Real>(work);
  z.resize(static_cast<size_t>(rows.columns));
  kernels.temper[static_cast<int>(rows.type)](z.data(), row_data(rows, r), rows.columns, rows.temperature[r]);
  return filter_row(kernels, z.data(), rows.columns, {rows.top_k[r], rows.top_p[r], rows.min_p[r]}, kept);
}

// The weights of a row of probabilities. False when one is negative or NaN, or the total is 0 or not finite.
template <class T>
bool widen_weights(const T* p, int64_t n, double* weight) {
  bool good = true;
  double total = 0.0;
  for (int64_t k = 0; k < n; ++k) {
    weight[k] = static_cast<double>(p[k]);
    good &= p[k] >= T(0);
    total += weight[k];
  }
  return good && total > 0.0 && total <= std::numeric_limits<double>::max();
}

// The weights of row r and, after filters, which categories they belong to (index stays empty otherwise). False as above.
bool weights_of_row(const CategoricalRows& rows, const RowKernels& kernels, int64_t r, RowWork& work, std::vector<double>& weight,
                    std::vector<int32_t>& index, double* largest) {
  const int64_t n = rows.columns;
  index.clear();
  if (rows.probs) {
    weight.resize(static_cast<size_t>(n));
    *largest = 0.0;
    return rows.type == LogitType::f32 ? widen_weights(static_cast<const float*>(row_data(rows, r)), n, weight.data())
                                       : widen_weights(static_cast<const double*>(row_data(rows, r)), n, weight.data());
  }
  const auto logits = [&](auto real) {
    using Real = decltype(real);
    if (rows.filtered) {
      if (!keep<Real>(rows, kernels, r, work)) return false;
      auto& kept = parts<Real>(work).kept;
      weight = kept.weight;
      index = kept.index;
      *largest = kept.largest;
      return true;
    }
    auto& z = parts<Real>(work).z;
    z.resize(static_cast<size_t>(n));
    weight.resize(static_cast<size_t>(n));
    kernels.temper[static_cast<int>(rows.type)](z.data(), row_data(rows, r), n, rows.temperature[r]);
    const double one = 1.0;
    double total;
    kernels.sample[static_cast<int>(sizeof(Real) == 4 ? LogitType::f32 : LogitType::f64)]({z.data(), n, 1, n, &one, false}, nullptr,
                                                                                          0, nullptr, largest, &total);
    if (!(total == total)) return false;
    if constexpr (sizeof(Real) == 4) {
      kernels.weights_f32(weight.data(), z.data(), n, *largest);
    } else {
      kernels.weights_f64(weight.data(), z.data(), n, *largest);
    }
    return true;
  };
  return rows.type == LogitType::f64 ? logits(double()) : logits(float());
}

void relabel(int64_t* out, int64_t n, int64_t stride, const std::vector<int32_t>& index) {
  if (index.empty()) return;
  for (int64_t i = 0; i < n; ++i) out[i * stride] = index[static_cast<size_t>(out[i * stride])];
}

// Draws of one row that is filtered or has probabilities. False when it has no distribution.
bool draw_row(const CategoricalRows& rows, const RowKernels& kernels, int64_t r, const double* u, int64_t draws, int64_t* out,
              int64_t stride, RowWork& work) {
  if (rows.probs) {
    double largest;
    std::vector<int32_t> none;
    if (!weights_of_row(rows, kernels, r, work, work.weight, none, &largest)) return false;
    work.cumulative.resize(work.weight.size());
    const double total = cumulative_weights(work.weight.data(), rows.columns, work.cumulative.data());
    for (int64_t d = 0; d < draws; ++d) {
      const double product = u[d] * total, target = product > 0.0 ? product : std::numeric_limits<double>::denorm_min();
      out[d * stride] = std::lower_bound(work.cumulative.begin(), work.cumulative.end(), target) - work.cumulative.begin();
    }
    return true;
  }
  const auto filtered = [&](auto real) {
    using Real = decltype(real);
    if (!keep<Real>(rows, kernels, r, work)) return false;
    const auto& kept = parts<Real>(work).kept;
    const int64_t n = static_cast<int64_t>(kept.z.size());
    const double one = 1.0;
    work.level.resize(static_cast<size_t>(draws));
    kernels.sample[static_cast<int>(sizeof(Real) == 4 ? LogitType::f32 : LogitType::f64)](
        {kept.z.data(), n, 1, n, &one, false}, u, draws, work.level.data(), nullptr, nullptr);
    for (int64_t d = 0; d < draws; ++d) out[d * stride] = kept.index[static_cast<size_t>(work.level[static_cast<size_t>(d)])];
    return true;
  };
  return rows.type == LogitType::f64 ? filtered(double()) : filtered(float());
}

// Rows [begin, end) with few draws each.
void draw_rows(const CategoricalRows& rows, const RowUniforms& uniforms, int64_t draws, int64_t begin, int64_t end, int64_t* out,
               bool* good) {
  const Kernels& all = active_kernels();
  const RowKernels& kernels = *all.rows;
  // A part's uniforms and levels stay in the caches.
  const int64_t part = std::max<int64_t>(8, (1 << 11) / draws / 8 * 8);
  const int64_t room = std::min(part, end - begin) * draws;
  double few[64];
  int32_t few_levels[64];
  std::vector<double> many(uniforms.u || room <= 64 ? 0 : static_cast<size_t>(room));
  std::vector<int32_t> many_levels(room <= 64 ? 0 : static_cast<size_t>(room));
  int32_t* level = room <= 64 ? few_levels : many_levels.data();
  RowWork work;
  for (int64_t first = begin; first < end; first += part) {
    const int64_t count = std::min(part, end - first);
    const double* u = uniforms.u ? uniforms.u + first * draws : nullptr;
    if (!u) {
      double* fresh = room <= 64 ? few : many.data();
      all.uniforms_f64(fresh, draws, uniforms.seed, static_cast<uint64_t>(first), count, 0, draws);
      u = fresh;
    }
    if (rows.filtered || rows.probs) {
      for (int64_t r = 0; r < count; ++r)
        good[first + r] = draw_row(rows, kernels, first + r, u + r * draws, draws, out + first + r, rows.rows, work);
      continue;
    }
    const LogitRows logits{
        row_data(rows, first), rows.stride, count, rows.columns, rows.temperature.data + (rows.temperature.own ? first : 0),
        rows.temperature.own};
    kernels.sample[static_cast<int>(rows.type)](logits, u, draws, level, nullptr, nullptr);
    for (int64_t r = 0; r < count; ++r) {
      good[first + r] = level[r * draws] >= 0;
      for (int64_t d = 0; d < draws; ++d) out[d * rows.rows + first + r] = std::max(level[r * draws + d], 0);
    }
  }
}

void draw_from_table(const CategoricalTable& table, const RowUniforms& uniforms, int64_t row, int64_t begin, int64_t end,
                     int64_t* out, int64_t stride) {
  constexpr int64_t kPart = 1024;
  double fresh[kPart];
  for (int64_t d = begin; d < end; d += kPart) {
    const int64_t count = std::min(kPart, end - d);
    const double* u = uniforms.u ? uniforms.u + d : fresh;
    if (!uniforms.u)
      active_kernels().uniforms_f64(fresh, count, uniforms.seed, static_cast<uint64_t>(row), 1, static_cast<uint64_t>(d), count);
    table.find(u, count, out + d * stride, stride);
  }
}

CategoricalRows only_row(const CategoricalRows& rows, int64_t r) {
  CategoricalRows one = rows;
  one.data = row_data(rows, r);
  one.rows = 1;
  one.temperature = {rows.temperature.data + (rows.temperature.own ? r : 0), false};
  if (rows.filtered) {
    one.top_k = {rows.top_k.data + (rows.top_k.own ? r : 0), false};
    one.top_p = {rows.top_p.data + (rows.top_p.own ? r : 0), false};
    one.min_p = {rows.min_p.data + (rows.min_p.own ? r : 0), false};
  }
  return one;
}

// parallel_for, without its overhead where there is one task.
void run(int64_t tasks, const std::function<void(int64_t)>& job, const std::function<void()>& poll) {
  if (tasks == 1) {
    const IeeeFloatScope scope;
    job(0);
  } else {
    parallel_for(tasks, 0, job, poll);
  }
}

}  // namespace

int64_t sample_categorical(const CategoricalRows& rows, const RowUniforms& uniforms, int64_t draws, int64_t* out, bool* valid,
                           const std::function<void()>& poll) {
  if (rows.rows == 0 || draws == 0) return -1;
  bool few[256];
  std::unique_ptr<bool[]> many;
  if (!valid && rows.rows > 256) many.reset(new bool[static_cast<size_t>(rows.rows)]);
  bool* good = valid ? valid : many ? many.get() : few;
  if (worth_a_table(draws, rows.columns)) {
    run(
        rows.rows,
        [&](int64_t r) {
          const CategoricalTable table(only_row(rows, r));
          good[r] = table.valid();
          if (good[r])
            draw_from_table(table, {uniforms.u ? uniforms.u + r * draws : nullptr, uniforms.seed}, r, 0, draws, out + r, rows.rows);
          else
            for (int64_t d = 0; d < draws; ++d) out[d * rows.rows + r] = 0;
        },
        poll);
  } else {
    const int64_t cost = rows.columns + 256 * draws;
    const int64_t each = std::max<int64_t>(1, kRowTask / cost >= 8 ? kRowTask / cost / 8 * 8 : kRowTask / cost);
    run((rows.rows + each - 1) / each,
        [&](int64_t task) {
          const int64_t begin = task * each, end = std::min(begin + each, rows.rows);
          draw_rows(rows, uniforms, draws, begin, end, out, good);
          for (int64_t r = begin; r < end; ++r)
            if (!good[r])
              for (int64_t d = 0; d < draws; ++d) out[d * rows.rows + r] = 0;
        },
        poll);
  }
  const bool* bad = std::find(good, good + rows.rows, false);
  return bad == good + rows.rows ? -1 : bad - good;
}

void categorical_weights(const CategoricalRows& rows, bool cumulative, double* weights, double* largest, double* totals,
                         const std::function<void()>& poll) {
  const RowKernels& kernels = *active_kernels().rows;
  const int64_t n = rows.columns;
  run(
      rows.rows,
      [&](int64_t r) {
        if (!weights) {
          const CategoricalRows one = only_row(rows, r);
          kernels.sample[static_cast<int>(rows.type)]({one.data, n, 1, n, one.temperature.data, false}, nullptr, 0, nullptr,
                                                      largest + r, totals + r);
          return;
        }
        RowWork work;
        std::vector<double> weight, sums;
        std::vector<int32_t> index;
        double* out = weights + r * n;
        if (!weights_of_row(rows, kernels, r, work, weight, index, largest + r)) {
          std::fill(out, out + n, kNan);
          largest[r] = totals[r] = kNan;
          return;
        }
        sums.resize(weight.size());
        totals[r] = cumulative_weights(weight.data(), static_cast<int64_t>(weight.size()), sums.data());
        const std::vector<double>& wanted = cumulative ? sums : weight;
        if (!rows.filtered) {
          std::copy(wanted.begin(), wanted.end(), out);
          return;
        }
        double last = 0.0;
        size_t i = 0;
        for (int64_t k = 0; k < n; ++k) {
          const bool here = i < index.size() && index[i] == k;
          if (here) last = wanted[i++];
          out[k] = here || cumulative ? last : 0.0;
        }
      },
      poll);
}

void log_weights(const double* weights, int64_t n, double* logits, const std::function<void()>& poll) {
  constexpr int64_t kTask = 1 << 14;
  const RowKernels& kernels = *active_kernels().rows;
  parallel_for((n + kTask - 1) / kTask, 0,
               [&](int64_t task) {
                 const int64_t begin = task * kTask;
                 kernels.log_weights(logits + begin, weights + begin, std::min(kTask, n - begin));
               },
               poll);
}

struct CategoricalTable::Source {
  std::vector<double> weight;
  std::vector<int32_t> index;
};

CategoricalTable::CategoricalTable(const CategoricalRows& row)
    : CategoricalTable([&] {
        const IeeeFloatScope scope;
        Source source;
        RowWork work;
        double largest;
        if (!weights_of_row(row, *active_kernels().rows, 0, work, source.weight, source.index, &largest))
          source.weight.assign(1, 0.0);
        return source;
      }()) {}

CategoricalTable::CategoricalTable(Source source)
    : index_(std::move(source.index)), table_(source.weight.data(), static_cast<int64_t>(source.weight.size())) {}

void CategoricalTable::find(const double* u, int64_t n, int64_t* out, int64_t stride) const {
  table_.find(u, n, out, stride);
  relabel(out, n, stride, index_);
}

void sample_categorical(const CategoricalTable& table, const RowUniforms& uniforms, int64_t draws, int64_t* out,
                        const std::function<void()>& poll) {
  run((draws + kDrawTask - 1) / kDrawTask,
      [&](int64_t task) { draw_from_table(table, uniforms, 0, task * kDrawTask, std::min((task + 1) * kDrawTask, draws), out, 1); },
      poll);
}

}  // namespace genfast
