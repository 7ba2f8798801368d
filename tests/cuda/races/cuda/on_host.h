// A block of threads as threads of the host, for ThreadSanitizer: what two items of one phase do to the same memory without a
// barrier between them is a race here too, in whatever order they happen to run. `make races` takes it in place of
// csrc/cuda/on_host.h. Threads that come to different phases, on a GPU a hang, end the process.
#pragma once
#include <pthread.h>

#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "cuda/executor.h"

namespace genfast {
namespace cuda {

// Odd, so that items which lie a power of two apart are different threads'.
constexpr int64_t kRacingThreads = 5;

// What the threads of a block meet at.
struct Meeting {
  pthread_barrier_t barrier;
  int64_t phases[2][kRacingThreads];  // of even and odd barriers: how many items each thread saw in the phase before it
  Meeting() { pthread_barrier_init(&barrier, nullptr, kRacingThreads); }
  ~Meeting() { pthread_barrier_destroy(&barrier); }
};

class ThreadedExecutor {
 public:
  // threads: as many as device code should think there are.
  ThreadedExecutor(Meeting& meeting, int64_t thread, int64_t threads) : meeting_(meeting), thread_(thread), threads_(threads) {}

  int64_t threads() const { return threads_; }
  template <class F>
  void each(int64_t n, const F& f) {
    for (int64_t i = thread_; i < n; i += kRacingThreads) f(i);
    meet(n);
  }
  void copy(void* to, const void* from, int64_t bytes) {
    for (int64_t at = thread_ * 16; at < bytes; at += kRacingThreads * 16)
      for (int64_t i = at; i < at + 16; ++i) static_cast<char*>(to)[i] = static_cast<const char*>(from)[i];
  }
  void wait_for_copies() { meet(-1); }
  template <class F>
  void each_warp(int64_t n, const F& f) {
    each(n, f);
  }
  template <int tiles>
  using Tile = HostTile<tiles>;

 private:
  void meet(int64_t n) {
    int64_t* phases = meeting_.phases[turn_++ % 2];
    phases[thread_] = n;
    pthread_barrier_wait(&meeting_.barrier);
    for (int64_t t = 0; t < kRacingThreads; ++t)
      if (phases[t] != n) {
        std::fprintf(stderr, "threads of a block came to different phases: of %lld and of %lld items\n", static_cast<long long>(n),
                     static_cast<long long>(phases[t]));
        std::abort();
      }
  }
  Meeting& meeting_;
  const int64_t thread_, threads_;
  uint64_t turn_ = 0;
};

template <class Work>
void on_host(HostExecutor::Order, int64_t threads, const Work& work) {
  Meeting meeting;
  std::vector<std::thread> others;
  for (int64_t thread = 1; thread < kRacingThreads; ++thread)
    others.emplace_back([&, thread] {
      ThreadedExecutor executor(meeting, thread, threads);
      work(executor);
    });
  ThreadedExecutor executor(meeting, 0, threads);
  work(executor);
  for (std::thread& other : others) other.join();
}

}  // namespace cuda
}  // namespace genfast
