// Draws latents for a .genfast decoder, generator or ascent without Python, and writes its outputs as raw float32, row after row.
//
//   JSON=$(python -c "import nlohmann_json, os; print(os.path.join(list(nlohmann_json.__path__)[0], 'include'))")
//   g++ -std=c++17 -O2 -ffp-contract=off -pthread -Icsrc -Icsrc/include -I$JSON examples/decode.cc
//       csrc/{base,engine,graph,kernels,kernels/targets,plan}/*.cc -o decode           (one line)
//   ./decode model.genfast 8 0 out.f32
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <vector>

#include "genfast/genfast.h"

int main(int argc, char** argv) try {
  if (argc != 5) {
    std::fprintf(stderr, "usage: decode MODEL N SEED OUT.f32\n");
    return 2;
  }
  const genfast::Model model = genfast::Model::load(argv[1]);
  if (!model.has_output()) throw std::runtime_error("the samples of this model are its sites: see examples/sample.cc");
  int64_t elements = 1;
  for (const int64_t side : model.output_shape()) elements *= side;
  const int64_t n = std::atoll(argv[2]);
  if (n < 0 || n > (int64_t{1} << 38) / elements) throw std::runtime_error("N is negative, or needs more than 1 TiB");

  genfast::Options options;
  options.seed = std::strtoull(argv[3], nullptr, 10);
  std::vector<float> output(static_cast<size_t>(n * elements)), latent(static_cast<size_t>(n * model.sites()));
  model.generate(n, output.data(), latent.data(), options);

  // The same outputs once more, of latents that are given.
  std::vector<float> again(output.size());
  model.apply(n, latent.data(), again.data(), options);
  if (again != output) throw std::runtime_error("the decoder is not deterministic");

  std::FILE* out = std::fopen(argv[4], "wb");
  if (!out) {
    std::perror(argv[4]);
    return 1;
  }
  const size_t written = std::fwrite(output.data(), sizeof(float), output.size(), out);
  if (std::fclose(out) != 0 || written != output.size()) throw std::runtime_error("the outputs could not be written");
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
