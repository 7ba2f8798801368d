// Bytes a second one core reads from memory: the sum of an array far larger than the caches, four accumulators wide. What
// generation at batch 1 can be held against, since it reads every weight once a token. Prints GB/s; compile with -O2.
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

__attribute__((target("avx2"))) double sum(const float* data, int64_t n) {
  __m256 s[8];
  for (__m256& x : s) x = _mm256_setzero_ps();
  for (int64_t i = 0; i < n; i += 64)
    for (int k = 0; k < 8; ++k) s[k] = _mm256_add_ps(s[k], _mm256_loadu_ps(data + i + 8 * k));
  float out[8];
  for (int k = 1; k < 8; ++k) s[0] = _mm256_add_ps(s[0], s[k]);
  _mm256_storeu_ps(out, s[0]);
  return out[0] + out[1] + out[2] + out[3] + out[4] + out[5] + out[6] + out[7];
}

}  // namespace

int main() {
  const int64_t n = int64_t{1} << 27;  // 512 MiB
  std::vector<float> data(n, 1.0f);
  double best = 1e30, check = 0;
  for (int round = 0; round < 7; ++round) {
    const auto start = std::chrono::steady_clock::now();
    check += sum(data.data(), n);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::printf("%.2f\n", check > 0 ? n * 4 / best / 1e9 : 0.0);
}
