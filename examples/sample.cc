// Samples a .genfast model without Python and writes a PGM picture of the rows side by side.
//
//   JSON=$(python -c "import nlohmann_json, os; print(os.path.join(list(nlohmann_json.__path__)[0], 'include'))")
//   g++ -std=c++17 -O2 -ffp-contract=off -pthread -Icsrc -Icsrc/include -I$JSON examples/sample.cc
//       csrc/{base,engine,graph,kernels,kernels/targets,plan}/*.cc -o sample           (one line)
//   ./sample genfast/models/digits.genfast 8 0 digits.pgm label=3
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "genfast/genfast.h"

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A whole number from 0 to `most`, all of `text`.
static uint64_t whole(const std::string& what, const char* text, uint64_t most) {
  char* end = nullptr;
  errno = 0;
  const uint64_t value = std::strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end || errno || value > most)
    throw UsageError(what + " must be a whole number from 0 to " + std::to_string(most) + ", got '" + text + "'");
  return value;
}

static float number(const std::string& argument, size_t start) {
  const char* text = argument.c_str() + start;
  char* end = nullptr;
  const float value = std::strtof(text, &end);
  if (end == text || *end) throw UsageError("'" + argument + "': write CONDITION=VALUE, VALUE a number");
  return value;
}

int main(int argc, char** argv) try {
  if (argc < 5) {
    std::fprintf(stderr, "usage: sample MODEL N SEED OUT.pgm [CONDITION=VALUE ...]\n");
    return 2;
  }
  const genfast::Model model = genfast::Model::load(argv[1]);
  const int64_t sites = model.sites(), most = (int64_t{1} << 40) / sites;  // rows of 4 TiB in all
  const int64_t n = static_cast<int64_t>(whole("N", argv[2], static_cast<uint64_t>(most)));

  genfast::Options options;
  options.seed = whole("SEED", argv[3], UINT64_MAX);
  std::map<std::string, std::vector<float>> conditions;  // the same value for every row
  for (int i = 5; i < argc; ++i) {
    const std::string argument = argv[i], name = argument.substr(0, argument.find('='));
    if (name.size() == argument.size()) throw UsageError("'" + argument + "': write CONDITION=VALUE, VALUE a number");
    int64_t elements = 0;
    for (const genfast::ConditionInfo& condition : model.conditions()) {
      if (condition.name != name) continue;
      elements = 1;
      for (const int64_t side : condition.shape) elements *= side;
    }
    if (!elements) throw UsageError("the model has no condition '" + name + "'");
    std::vector<float>& rows = conditions[name];
    rows.assign(static_cast<size_t>(n * elements), number(argument, name.size() + 1));
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
} catch (const UsageError& e) {
  std::fprintf(stderr, "sample: %s\n", e.what());
  return 2;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
