// Nanoseconds a row of the categorical kernel, per number of categories and target, and in brackets: at another temperature, of the
// log probability, and of the largest logit and the exponentials alone (the row kernel "max" and the map kernel "exp"). Stands
// alone:
//   g++ -std=c++17 -O3 -ffp-contract=off -Icsrc benchmarks/bench_categorical.cc csrc/kernels/*.cc csrc/kernels/targets/*.cc -o
//   bench_categorical
//   ./bench_categorical [target ...]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "fma_peak.h"
#include "kernels/kernels.h"

namespace {

// The best of many short runs: other processes on a shared machine only ever add time.
template <class Fn>
double best_seconds(const Fn& fn) {
  fn();
  double best = 1e9;
  int repeat = 1;
  for (; repeat < 1 << 24; repeat *= 2) {
    const double t = now_seconds();
    for (int i = 0; i < repeat; ++i) fn();
    if (now_seconds() - t > 2e-4) break;
  }
  for (int i = 0; i < 200; ++i) {
    const double t = now_seconds();
    for (int j = 0; j < repeat; ++j) fn();
    best = std::min(best, (now_seconds() - t) / repeat);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  struct Shape {
    int64_t rows, columns;
  };
  const Shape shapes[] = {{64, 16},   {64, 100}, {1, 256},   {4, 256},  {16, 256},  {64, 256},
                          {256, 256}, {16, 257}, {64, 1024}, {8, 4096}, {2, 50257}, {1, 131072}};
  int count;
  const genfast::Kernels* const* targets = genfast::all_targets(&count);
  std::printf("%14s", "rows columns");
  for (int t = 0; t < count; ++t) std::printf("%12s  (t=0.9, log_prob, max+exp)", targets[t]->target);
  std::printf("   ns a row\n");
  for (const Shape& s : shapes) {
    std::mt19937_64 random(1);
    std::normal_distribution<float> normal(0.0f, 2.0f);
    std::uniform_real_distribution<double> uniform;
    std::vector<float> logits(static_cast<size_t>(s.rows * s.columns));
    std::vector<double> u(static_cast<size_t>(s.rows)), log_prob(u.size());
    for (float& x : logits) x = normal(random);
    for (double& x : u) x = uniform(random);
    std::vector<int32_t> level(u.size());
    std::vector<float> most(u.size()), out(logits.size());
    std::printf("%6d %7d", int(s.rows), int(s.columns));
    for (int t = 0; t < count; ++t) {
      bool wanted = argc < 2;
      for (int i = 1; i < argc; ++i) wanted = wanted || std::strcmp(argv[i], targets[t]->target) == 0;
      if (!wanted || !targets[t]->supported()) {
        std::printf("%12s%30s", "-", "");
        continue;
      }
      const auto time = [&](float temperature) {
        return 1e9 / double(s.rows) * best_seconds([&] {
                 targets[t]->categorical(level.data(), logits.data(), s.columns, u.data(), temperature, s.rows, s.columns);
               });
      };
      const double score =
          1e9 / double(s.rows) * best_seconds([&] {
            targets[t]->categorical_log_prob(log_prob.data(), logits.data(), s.columns, level.data(), 1.0f, s.rows, s.columns);
          });
      const genfast::MapOperand operand{logits.data(), s.columns, false};
      const double least = 1e9 / double(s.rows) * best_seconds([&] {
                             targets[t]->row[int(genfast::RowOp::max)](most.data(), 1, logits.data(), s.columns, nullptr, nullptr,
                                                                       nullptr, s.rows, s.columns);
                             targets[t]->map[int(genfast::MapOp::exp)](out.data(), s.columns, &operand, nullptr, s.rows, s.columns);
                           });
      std::printf("%12.1f  (%7.1f %9.1f %8.1f)", time(1.0f), time(0.9f), score, least);
    }
    std::printf("\n");
  }
}
