#include "cuda/failure.h"

#include <cstdio>

#include "base/errors.h"

namespace genfast {
namespace cuda {
namespace {

std::string mebibytes(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

}  // namespace

void fail(const std::string& call, const std::string& step, const std::string& code, const std::string& meaning, bool lost) {
  std::string text = call + (step.empty() ? "" : ", " + step) + ": " + code + " (" + meaning + ")";
  if (lost) text += "; CUDA cannot be used any more in this process: start a new one";
  throw DeviceError(text);
}

void fail_memory(int64_t bytes, const std::string& what, int64_t free, int64_t total, const std::string& advice) {
  throw DeviceMemoryError("the device has no " + mebibytes(bytes) + " (" + std::to_string(bytes) + " bytes) for " + what + ": " +
                          mebibytes(free) + " of " + mebibytes(total) + " are free" + (advice.empty() ? "" : "; " + advice));
}

}  // namespace cuda
}  // namespace genfast
