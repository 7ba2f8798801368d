// genfast for C++ programs: load a .genfast file, sample, score. No Python, no PyTorch; link the sources of csrc/base, graph, plan,
// kernels and engine, and pthread, with csrc/ and csrc/include/ on the include path. The Python package is a thin layer over this
// same class. Errors are the exceptions of base/errors.h; nothing here prints or aborts.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/errors.h"

namespace genfast {

struct ConditionInfo {
  std::string name;
  std::vector<int64_t> shape;  // of one row
  bool integer = false;
  int64_t size = 0;  // integer: exclusive upper bound
};

struct Options {
  uint64_t seed = 0;
  uint64_t first_row = 0;                          // the uniforms of row i are those of row first_row + i of the seed
  const double* u = nullptr;                       // [n][sites], for outputs [n][uniforms], in [0, 1]; replaces the seed
  std::map<std::string, const float*> conditions;  // each [n][elements of its shape]; integers as floats

  // Of categorical heads, in this order: logits divided by the temperature (> 0; Bernoulli heads too), the top_k largest, the
  // fewest of those that reach top_p, those of at least min_p times the largest probability.
  float temperature = 1;
  int64_t top_k = INT64_MAX;
  double top_p = 1, min_p = 0;
  // Classifier-free guidance: logits are without + guidance · (with - without), where `with` has `conditions`, and `without` has
  // these instead, by name; conditions not named here are the same in both. 1 is off.
  float guidance = 1;
  std::map<std::string, const float*> unconditional;

  // Sites that are given, not drawn: those of `known` [sites] (1 is given) in every row, and of row i the first prompt[i] in the
  // order. Their values stand in the array that sample() fills. No known site may depend on one that is drawn.
  const uint8_t* known = nullptr;
  const int64_t* prompt = nullptr;
  // A row ends after max_tokens drawn sites, or with the first drawn site in `stop`. From there on it holds that stop level, else
  // stop[0], else 0.
  int64_t max_tokens = INT64_MAX;
  std::vector<int32_t> stop;

  bool wavefront = true;                                  // draw independent sites together: the same samples, sooner
  int threads = 0;                                        // at most; 0: as many as num_threads()
  std::function<void(int64_t done, int64_t total)> poll;  // on the caller's thread, at least every 50 ms or so; may throw to stop
};

class Program;
struct RowlessCall;

// What Model::stream gives: a column of every row at a time. For one thread at a time.
class TokenStream {
 public:
  TokenStream(TokenStream&&) noexcept;
  ~TokenStream();
  // Levels of the next site in the order, one a row: drawn, or of a longer prompt, or what pads a row that has ended. False when
  // every row has ended.
  bool next(int32_t* levels);

 private:
  friend class Model;
  struct Impl;
  explicit TokenStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Immutable and safe to use from several threads at once.
class Model {
 public:
  static Model load(const std::string& path);
  static Model load(const void* data, size_t size, const std::string& name = "<memory>");

  // The same model, run by another device that has been registered. Models start on "cpu". Throws ArgumentError naming those there
  // are.
  Model to(const std::string& device) const;
  const std::string& device() const;

  int64_t sites() const;  // positions() times channels()
  int64_t positions() const;
  int64_t channels() const;
  int64_t levels() const;                           // 0: sites hold numbers, sampled as floats
  int64_t outputs() const;                          // numbers of the network that say the distribution of a site, or of a position
  bool outputs_by_position() const;                 // whether a position's channels share them
  const std::vector<int64_t>& input_shape() const;  // of one row
  bool integer_input() const;
  std::vector<int32_t> fixed_sites() const;  // without a distribution, in the order: given, or bos()
  int64_t bos() const;
  std::vector<int32_t> order() const;  // site of each rank
  std::vector<ConditionInfo> conditions() const;
  bool has_distribution() const;  // false: sites are given, and the model is only applied
  // What the model computes from its sites, for those whose samples are not the sites themselves: decoders, classifiers, ascents.
  bool has_output() const;
  const std::vector<int64_t>& output_shape() const;  // of one row
  int64_t rounds() const;                            // of an iterated model, else 0
  int64_t uniforms() const;                          // of one output: sites(), more where rounds take some
  std::string meta() const;                          // a JSON object
  std::string file_bytes() const;                    // the .genfast file this model came from

  // n rows of `sites()` levels (or numbers), in the input's layout. A sample depends on its row's uniforms, condition and given
  // sites alone.
  void sample(int64_t n, uint8_t* levels, const Options& options = {}) const;  // at most 256 levels
  void sample(int64_t n, int32_t* levels, const Options& options = {}) const;
  void sample(int64_t n, float* x, const Options& options = {}) const;  // heads without levels
  // The same levels one after another, in the order; the arrays of `options` and `given` [n][sites] (prompts; may be null without)
  // are read before it returns; options.poll is kept, for next(): a step that it stopped is not taken. Holds the activations of all
  // rows; throws ArgumentError where they are more than the machine's memory.
  TokenStream stream(int64_t n, const int32_t* given, const Options& options = {}) const;
  // n rows of the output, [n][elements of output_shape()], of sites that are drawn. Where `levels` or `x` [n][sites] is not null
  // the sites are stored there too; it is needed with `known` or `prompt`. Guidance, max_tokens and stop have no effect on an
  // output and are refused.
  void generate(int64_t n, float* output, int32_t* levels, const Options& options = {}) const;
  void generate(int64_t n, float* output, float* x = nullptr, const Options& options = {}) const;  // heads without levels
  // The output of sites that are given; an iterated model begins with them. Uniforms are taken by rounds only.
  void apply(int64_t n, const int32_t* levels, float* output, const Options& options = {}) const;
  void apply(int64_t n, const float* x, float* output, const Options& options = {}) const;
  // log p(row) in nats (its density, of numbers), with the bits of the sampling path.
  void log_prob(int64_t n, const int32_t* levels, double* out, const Options& options = {}) const;
  void log_prob(int64_t n, const float* x, double* out, const Options& options = {}) const;
  // The uniforms that give each site its value, [n][sites]: those in (lower, upper], all the same number where x is continuous.
  void rosenblatt(int64_t n, const int32_t* levels, double* lower, double* upper, const Options& options = {}) const;
  void rosenblatt(int64_t n, const float* x, double* lower, double* upper, const Options& options = {}) const;
  // Teacher-forced outputs of the network, [n][outputs][sites or positions]: before temperature, filters and guidance.
  void logits(int64_t n, const int32_t* levels, float* out, const Options& options = {}) const;
  void logits(int64_t n, const float* x, float* out, const Options& options = {}) const;

  // Plans now rather than at the first call. Throws NotCausalError.
  void plan(bool wavefront = true) const;
  std::string explain() const;

 private:
  friend std::shared_ptr<const Program> program_of(const Model& model, const RowlessCall& call);  // engine/program_of.h
  struct Impl;
  explicit Model(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// Threads that one call may use (default: GENFAST_NUM_THREADS, else the CPUs at hand).
void set_num_threads(int n);
int num_threads();
// "scalar", "avx2" or "avx512"; GENFAST_TARGET overrides the choice.
std::string cpu_target();

}  // namespace genfast
