// GFLOP/s of the gemm kernel per shape and target, beside the measured FMA peak of this core; then, at one row, the GB/s at which
// weights of each type come from memory. Stands alone:
//   g++ -std=c++17 -O2 -ffp-contract=off -Icsrc benchmarks/bench_gemm.cc csrc/kernels/*.cc csrc/kernels/targets/*.cc -o bench_gemm
//   ./bench_gemm [target ...]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "base/aligned.h"
#include "fma_peak.h"
#include "kernels/kernels.h"

namespace {

// The best of many short runs: other processes on a shared machine only ever add time.
template <class Fn>
double best_seconds(const Fn& fn) {
  fn();
  int repeat = 1;
  double best = 1e9;
  for (; repeat < 1 << 24; repeat *= 2) {
    const double t = now_seconds();
    for (int i = 0; i < repeat; ++i) fn();
    if (now_seconds() - t > 2e-4) break;
  }
  for (int i = 0; i < 100; ++i) {
    const double t = now_seconds();
    for (int j = 0; j < repeat; ++j) fn();
    best = std::min(best, (now_seconds() - t) / repeat);
  }
  return best;
}

struct Shape {
  int64_t groups, rows, segments, count, columns;
};

// Rows of different groups and segments live in one arena, as an engine would have them.
double gflops(const genfast::Kernels& kernels, const Shape& s) {
  const int64_t k = s.segments * s.count, padded = genfast::round_up(s.columns, 16);
  std::vector<float> arena(static_cast<size_t>((s.groups + s.segments) * s.rows * s.count), 0.5f);
  std::vector<float> out(static_cast<size_t>(s.groups * s.rows * s.columns));
  std::vector<float> weight_storage(static_cast<size_t>(k * padded) + 16, 0.25f), bias(static_cast<size_t>(padded), 1.0f);
  float* weights = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(weight_storage.data()) + 63) / 64 * 64);
  std::vector<genfast::GemmSegment> segments;
  std::vector<const float*> sources;
  std::vector<int64_t> strides;
  std::vector<float*> outs;
  for (int64_t i = 0; i < s.segments; ++i) {
    segments.push_back({s.count, i * s.count, i > 0 && i * s.count / 256 != (i * s.count - s.count) / 256});
    strides.push_back(s.count);
    for (int64_t g = 0; g < s.groups; ++g) sources.push_back(arena.data() + (i + g) * s.rows * s.count);
  }
  for (int64_t g = 0; g < s.groups; ++g) outs.push_back(out.data() + g * s.rows * s.columns);
  const genfast::GemmArgs args{
      segments.data(), s.segments, sources.data(), strides.data(), outs.data(), s.columns, s.groups, s.rows, 0, s.groups * s.rows,
      weights,         k,          s.columns,      bias.data(),    nullptr,     0,         true};
  const double seconds = best_seconds([&] { kernels.gemm(args); });
  return 2e-9 * static_cast<double>(s.groups * s.rows * k * s.columns) / seconds;
}

// Microseconds of one row through K x N weights of a type that no cache holds: a row of equal matrices, used in turn.
double one_row_us(const genfast::Kernels& kernels, int64_t k, int64_t columns, genfast::WeightType type) {
  const int64_t bytes = k * genfast::round_up(columns, 16) * genfast::info(type).bytes, step = genfast::round_up(bytes, 64);
  const int64_t copies = std::max<int64_t>(1, (int64_t{160} << 20) / step);
  genfast::AlignedBuffer<char> weights(static_cast<size_t>(step * copies));
  std::vector<float> in(static_cast<size_t>(k), 0.5f), out(static_cast<size_t>(columns)),
      scales(static_cast<size_t>(columns) + 16, 0.5f);
  std::vector<genfast::GemmSegment> segments;
  std::vector<const float*> sources;
  for (int64_t begin = 0; begin < k; begin += genfast::kGemmChunk) {
    segments.push_back({std::min(genfast::kGemmChunk, k - begin), begin, begin > 0});
    sources.push_back(in.data() + begin);
  }
  const std::vector<int64_t> strides(segments.size(), k);
  float* outs[] = {out.data()};
  genfast::GemmArgs args{};
  args.segments = segments.data(), args.n_segments = static_cast<int64_t>(segments.size());
  args.sources = sources.data(), args.source_stride = strides.data();
  args.out = outs, args.out_stride = columns, args.groups = args.group_rows = args.m_end = 1;
  args.k_rows = k, args.columns = columns;
  args.weight_type = type, args.scales = type == genfast::WeightType::i8 ? scales.data() : nullptr;
  double best = 1e9;
  for (int round = 0; round < 9; ++round) {
    const double t = now_seconds();
    for (int64_t i = 0; i < copies; ++i) {
      args.weights = weights.data() + i * step;
      kernels.gemm(args);
    }
    best = std::min(best, (now_seconds() - t) / static_cast<double>(copies));
  }
  return 1e6 * best;
}

}  // namespace

int main(int argc, char** argv) {
  auto wanted = [&](const char* target) {
    bool any = argc < 2;
    for (int i = 1; i < argc; ++i) any = any || std::strcmp(argv[i], target) == 0;
    return any;
  };
  std::printf("FMA peak: %.0f GFLOP/s\n", fma_peak());
  const Shape shapes[] = {{1, 64, 9, 64, 64}, {1, 64, 4, 32, 64},  {1, 64, 9, 64, 128}, {1, 64, 5, 128, 128}, {1, 64, 9, 128, 256},
                          {1, 64, 4, 32, 32}, {1, 64, 9, 64, 32},  {1, 48, 9, 64, 48},  {1, 64, 9, 64, 96},   {1, 64, 9, 64, 16},
                          {1, 48, 9, 64, 64}, {1, 32, 9, 64, 64},  {1, 16, 9, 64, 64},  {1, 16, 4, 64, 128},  {30, 1, 4, 64, 64},
                          {7, 1, 9, 64, 64},  {7, 1, 1, 64, 64},   {7, 8, 4, 64, 64},   {1, 1, 9, 64, 64},    {1, 1, 9, 128, 128},
                          {1, 2, 9, 64, 64},  {1, 3, 9, 64, 64},   {1, 4, 9, 64, 64},   {1, 64, 24, 1, 64},   {1, 64, 24, 1, 128},
                          {7, 1, 24, 1, 64},  {1, 64, 49, 24, 64}, {1, 64, 1, 24, 64}};
  int count;
  const genfast::Kernels* const* targets = genfast::all_targets(&count);
  std::printf("%26s", "groups rows segs count   N");
  for (int t = 0; t < count; ++t) std::printf("%10s", targets[t]->target);
  std::printf("   ns (last)\n");
  for (const Shape& s : shapes) {
    std::printf("%6d %4d %4d %5d %3d", int(s.groups), int(s.rows), int(s.segments), int(s.count), int(s.columns));
    double last = 0;
    for (int t = 0; t < count; ++t) {
      if (wanted(targets[t]->target) && targets[t]->supported())
        std::printf("%10.1f", last = gflops(*targets[t], s));
      else
        std::printf("%10s", "-");
    }
    std::printf("%10.0f\n", 2.0 * s.groups * s.rows * s.segments * s.count * s.columns / last);
  }
  for (int t = 0; t < count; ++t) {
    if (!wanted(targets[t]->target) || !targets[t]->supported()) continue;
    std::printf("\none row, weights from memory, %s:  us (GB/s)\n%5s %6s", targets[t]->target, "K", "N");
    for (const genfast::WeightTypeInfo& type : genfast::kWeightTypes) std::printf("%18s", type.name);
    const int64_t sizes[][2] = {{768, 768}, {768, 2304}, {768, 3072}, {3072, 768}, {768, 50257}};
    for (const auto& [k, n] : sizes) {
      std::printf("\n%5d %6d", int(k), int(n));
      for (int type = 0; type < static_cast<int>(genfast::WeightType::count); ++type) {
        const double us = one_row_us(*targets[t], k, n, static_cast<genfast::WeightType>(type));
        std::printf("%10.1f (%5.1f)", us, k * genfast::round_up(n, 16) * genfast::kWeightTypes[type].bytes / us / 1e3);
      }
    }
    std::printf("\n");
  }
}
