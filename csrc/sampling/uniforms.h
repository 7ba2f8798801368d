// Arrays of u(seed, row, site), on the thread pool. For the bindings and the samplers; it knows no generator but our own.
#pragma once
#include <cstdint>
#include <functional>

namespace genfast {

// out[r * sites + i] = u(seed, first_row + r, first_site + i) for r < rows, i < sites; the same for any number of threads.
// `poll` as in parallel_for. rows and sites are not negative and their product fits an int64.
void fill_uniforms(double* out, uint64_t seed, uint64_t first_row, int64_t rows, uint64_t first_site, int64_t sites,
                   const std::function<void()>& poll = {});
void fill_uniforms(float* out, uint64_t seed, uint64_t first_row, int64_t rows, uint64_t first_site, int64_t sites,
                   const std::function<void()>& poll = {});

}  // namespace genfast
