// genfast for C++ programs: load a .genfast file, sample, score. No Python, no PyTorch; link the sources of csrc/ (all but
// bindings/) and pthread, with csrc/ and csrc/include/ on the include path. The Python package is a thin layer over this same
// class. Errors are the exceptions of base/errors.h; nothing here prints or aborts.
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
  uint64_t first_row = 0;                                 // the uniforms of row i are those of row first_row + i of the seed
  const double* u = nullptr;                              // [n][sites] in [0, 1]; replaces the seed
  float temperature = 1;                                  // > 0; divides the logits
  std::map<std::string, const float*> conditions;         // each [n][elements of its shape]; integers as floats
  bool wavefront = true;                                  // draw independent sites together: the same samples, sooner
  int threads = 0;                                        // at most; 0: as many as num_threads()
  std::function<void(int64_t done, int64_t total)> poll;  // on the caller's thread, at least every 50 ms or so; may throw to stop
};

// Immutable and safe to use from several threads at once.
class Model {
 public:
  static Model load(const std::string& path);
  static Model load(const void* data, size_t size, const std::string& name = "<memory>");

  int64_t sites() const;
  int64_t levels() const;
  int64_t outputs() const;                          // numbers the network puts out for a site: its logits
  const std::vector<int64_t>& input_shape() const;  // of one row
  std::vector<ConditionInfo> conditions() const;
  std::string meta() const;        // a JSON object
  std::string file_bytes() const;  // the .genfast file this model came from

  // n rows of `sites()` levels, in the input's layout. A sample depends on its row's uniforms and condition alone.
  void sample(int64_t n, uint8_t* levels, const Options& options = {}) const;  // at most 256 levels
  void sample(int64_t n, int32_t* levels, const Options& options = {}) const;
  // log p(row) in nats, with the bits of the sampling path.
  void log_prob(int64_t n, const int32_t* levels, double* out, const Options& options = {}) const;
  // Teacher-forced logits before temperature, [n][levels or 1][sites].
  void logits(int64_t n, const int32_t* levels, float* out, const Options& options = {}) const;

  // Plans now rather than at the first call. Throws NotCausalError.
  void plan(bool wavefront = true) const;
  std::string explain() const;

 private:
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
