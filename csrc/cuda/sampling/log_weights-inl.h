// Weights as logits, which can be tempered and filtered; the bits of RowKernels::log_weights. Included by its two forms.
#pragma once
#include "cuda/sampling/argument.h"
#include "numerics/exp_log.h"

namespace genfast {
namespace cuda {

struct LogWeightsProgram {
  static constexpr const char* name = "log weights";
  template <class Executor>
  static GENFAST_HD void run(Executor& executor, const LogWeightArgs& a) {
    executor.each(a.n, [&](int64_t i) { a.logits[i] = numerics::canonical(numerics::log_f64(at(a.weights, i))); });
  }
};

}  // namespace cuda
}  // namespace genfast
