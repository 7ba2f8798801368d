// Samples a .genfast model without Python and writes a PGM picture of the rows side by side.
//
//   JSON=$(python -c "import nlohmann_json, os; print(os.path.join(list(nlohmann_json.__path__)[0], 'include'))")
//   g++ -std=c++17 -O2 -ffp-contract=off -pthread -Icsrc -Icsrc/include -I$JSON examples/sample.cc
//       csrc/{base,engine,graph,kernels,kernels/targets,plan}/*.cc -o sample           (one line)
//   ./sample genfast/models/digits.genfast 8 0 digits.pgm label=3
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "genfast/genfast.h"

int main(int argc, char** argv) try {
  if (argc < 5) {
    std::fprintf(stderr, "usage: sample MODEL N SEED OUT.pgm [CONDITION=VALUE ...]\n");
    return 2;
  }
  const genfast::Model model = genfast::Model::load(argv[1]);
  const int64_t n = std::atoll(argv[2]), sites = model.sites();

  genfast::Options options;
  options.seed = std::strtoull(argv[3], nullptr, 10);
  std::map<std::string, std::vector<float>> conditions;  // the same value for every row
  for (int i = 5; i < argc; ++i) {
    const std::string argument = argv[i], name = argument.substr(0, argument.find('='));
    std::vector<float>& rows = conditions[name];
    rows.assign(static_cast<size_t>(n), std::strtof(argument.c_str() + std::min(name.size() + 1, argument.size()), nullptr));
    options.conditions[name] = rows.data();
  }

  std::vector<int32_t> levels(static_cast<size_t>(n * sites));
  std::vector<double> log_prob(static_cast<size_t>(n));
  model.sample(n, levels.data(), options);
  model.log_prob(n, levels.data(), log_prob.data(), options);

  const int64_t width = model.input_shape().back(), height = sites / width;
  std::FILE* out = std::fopen(argv[4], "wb");
  if (!out) {
    std::perror(argv[4]);
    return 1;
  }
  std::fprintf(out, "P2\n%lld %lld\n%lld\n", static_cast<long long>(n * width), static_cast<long long>(height),
               static_cast<long long>(model.levels() - 1));
  for (int64_t y = 0; y < height; ++y)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t x = 0; x < width; ++x) std::fprintf(out, "%d\n", levels[static_cast<size_t>(i * sites + y * width + x)]);
  std::fclose(out);
  for (int64_t i = 0; i < n; ++i) std::printf("%.17g\n", log_prob[static_cast<size_t>(i)]);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
