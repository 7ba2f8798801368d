// A phase with a race, which ThreadSanitizer must find: an item reads what its neighbour writes.
#include "cuda/on_host.h"

int main() {
  int64_t items[64] = {};
  genfast::cuda::on_host(genfast::cuda::HostExecutor::Order::rising, 64,
                         [&](auto& executor) { executor.each(63, [&](int64_t i) { items[i] = items[i + 1] + 1; }); });
  return 0;
}
