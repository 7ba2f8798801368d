// Cuts an array of uniforms into rectangles of about kRectangle numbers and hands them to the kernel.
#include "sampling/uniforms.h"

#include <algorithm>

#include "base/float_env.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace genfast {
namespace {

// Half a megabyte of doubles: some 50 microseconds, long beside a hand-over to another thread. A multiple of every kernel's group.
constexpr int64_t kRectangle = int64_t{1} << 16;

template <class T>
void fill(UniformsFn<T> kernel, T* out, uint64_t seed, uint64_t first_row, int64_t rows, uint64_t first_site, int64_t sites,
          const std::function<void()>& poll) {
  if (rows == 0 || sites == 0) return;
  if (rows * sites <= kRectangle) {
    const IeeeFloatScope scope;
    kernel(out, sites, seed, first_row, rows, first_site, sites);
    return;
  }
  const int64_t width = std::min(sites, kRectangle), height = std::max<int64_t>(1, kRectangle / width / 8 * 8);
  const int64_t across = (sites + width - 1) / width, down = (rows + height - 1) / height;
  parallel_for(
      across * down, 0,
      [&](int64_t task) {
        const int64_t row = task / across * height, site = task % across * width;
        kernel(out + row * sites + site, sites, seed, first_row + static_cast<uint64_t>(row), std::min(height, rows - row),
               first_site + static_cast<uint64_t>(site), std::min(width, sites - site));
      },
      poll);
}

}  // namespace

void fill_uniforms(double* out, uint64_t seed, uint64_t first_row, int64_t rows, uint64_t first_site, int64_t sites,
                   const std::function<void()>& poll) {
  fill(active_kernels().uniforms_f64, out, seed, first_row, rows, first_site, sites, poll);
}
void fill_uniforms(float* out, uint64_t seed, uint64_t first_row, int64_t rows, uint64_t first_site, int64_t sites,
                   const std::function<void()>& poll) {
  fill(active_kernels().uniforms_f32, out, seed, first_row, rows, first_site, sites, poll);
}

}  // namespace genfast
