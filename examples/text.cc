// Writes texts with a .genfast language model without Python, token by token as they are drawn.
//
//   JSON=$(python -c "import nlohmann_json, os; print(os.path.join(list(nlohmann_json.__path__)[0], 'include'))")
//   g++ -std=c++17 -O2 -ffp-contract=off -pthread -Icsrc -Icsrc/include -I$JSON examples/text.cc
//       csrc/{base,engine,graph,kernels,kernels/targets,plan}/*.cc -o text             (one line)
//   ./text genfast/models/alice.genfast 0 100 "Alice "
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "genfast/genfast.h"

// The text of each token: a list of strings, or one string with a character each (UTF-8).
static std::vector<std::string> vocabulary_of(const genfast::Model& model) {
  const nlohmann::json meta = nlohmann::json::parse(model.meta());
  if (!meta.contains("vocabulary")) throw std::runtime_error("the model's meta has no vocabulary: it is no text model");
  const nlohmann::json& vocabulary = meta["vocabulary"];
  if (vocabulary.is_array()) return vocabulary.get<std::vector<std::string>>();
  std::vector<std::string> out;
  for (const char byte : vocabulary.get<std::string>()) {
    if ((byte & 0xC0) != 0x80) out.emplace_back();  // not the continuation of a character
    out.back() += byte;
  }
  return out;
}

// Tokens of `text`, the longest match first.
static std::vector<int32_t> encode(const std::string& text, const std::vector<std::string>& vocabulary) {
  std::vector<int32_t> tokens;
  for (size_t at = 0, length = 0; at < text.size(); at += length) {
    int32_t best = -1;
    length = 0;
    for (size_t i = 0; i < vocabulary.size(); ++i) {
      const std::string& piece = vocabulary[i];
      if (piece.size() <= length || text.compare(at, piece.size(), piece) != 0) continue;
      best = static_cast<int32_t>(i);
      length = piece.size();
    }
    if (best < 0) throw std::runtime_error("the model has no token for '" + text.substr(at) + "'");
    tokens.push_back(best);
  }
  return tokens;
}

int main(int argc, char** argv) try {
  if (argc != 5) {
    std::fprintf(stderr, "usage: text MODEL SEED MAX_TOKENS PROMPT\n");
    return 2;
  }
  const genfast::Model model = genfast::Model::load(argv[1]);
  const std::vector<std::string> vocabulary = vocabulary_of(model);
  const std::vector<int32_t> prompt = encode(argv[4], vocabulary);
  if (prompt.size() > static_cast<size_t>(model.sites())) throw std::runtime_error("the prompt is too long");

  genfast::Options options;
  options.seed = std::strtoull(argv[2], nullptr, 10);
  options.max_tokens = std::strtoll(argv[3], nullptr, 10);
  std::vector<int32_t> row(static_cast<size_t>(model.sites()));
  std::copy(prompt.begin(), prompt.end(), row.begin());
  const int64_t given = static_cast<int64_t>(prompt.size());
  options.prompt = &given;

  std::fputs(argv[4], stdout);
  genfast::TokenStream stream = model.stream(1, row.data(), options);
  for (int32_t token = 0; stream.next(&token);) {
    std::fputs(vocabulary.at(static_cast<size_t>(token)).c_str(), stdout);
    std::fflush(stdout);
  }
  std::fputc('\n', stdout);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
