// Hammers base/thread_pool.h: every promise of its header, from many threads at once, across fork and at exit. Exits 0 and prints
// the number of rounds, or prints what broke and exits 1; a hang ends it by SIGALRM. Run by hand and by CI, plain and under
// ThreadSanitizer:
//   g++ -std=c++17 -O1 -g -fsanitize=thread -Icsrc tests/fuzz/pool_stress.cc csrc/base/thread_pool.cc -pthread -o /tmp/pool_stress
//   /tmp/pool_stress [rounds]
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/errors.h"
#include "base/thread_pool.h"

// ThreadSanitizer's own runtime cannot start threads in the child of a process that had any, so there the child works alone.
#if defined(__SANITIZE_THREAD__)
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }
constexpr int kThreadsInChild = 1;
#else
constexpr int kThreadsInChild = 4;
#endif

namespace {

using genfast::parallel_for;

[[noreturn]] void broken(const char* what, int line) {
  std::fprintf(stderr, "pool_stress: line %d: %s\n", line, what);
  std::_Exit(1);
}
#define EXPECT(condition) \
  if (!(condition)) broken(#condition, __LINE__)

void nap(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

void each_task_runs_once(int tasks, int threads) {
  std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
  parallel_for(tasks, threads, [&](int64_t task) { runs[static_cast<size_t>(task)].fetch_add(1); });
  for (const auto& run : runs) EXPECT(run.load() == 1);
}

void as_many_threads_as_asked() {
  std::atomic<int> inside{0};
  parallel_for(4, 4, [&](int64_t) {
    inside.fetch_add(1);
    for (int i = 0; i < 20000 && inside.load() < 4; ++i) nap(1);  // only four threads at once get past this
    EXPECT(inside.load() == 4);
  });
}

void calls_nest() {
  std::atomic<int> total{0};
  parallel_for(5, 0, [&](int64_t) { parallel_for(7, 0, [&](int64_t) { total.fetch_add(1); }); });
  EXPECT(total.load() == 35);
}

void first_exception_comes_back(int tasks, int threads) {
  std::atomic<int> running{0}, started{0};
  std::string caught;
  try {
    parallel_for(tasks, threads, [&](int64_t task) {
      running.fetch_add(1);
      started.fetch_add(1);
      if (task == 3) {
        running.fetch_sub(1);
        throw std::runtime_error("task 3");
      }
      std::this_thread::yield();
      running.fetch_sub(1);
    });
  } catch (const std::runtime_error& error) {
    caught = error.what();
  }
  EXPECT(running.load() == 0);
  EXPECT(caught == "task 3");
}

void poll_cancels(int threads) {
  std::atomic<int> running{0}, started{0};
  const auto caller = std::this_thread::get_id();
  int polls = 0;
  bool cancelled = false;
  try {
    parallel_for(
        1 << 20, threads,
        [&](int64_t) {
          running.fetch_add(1);
          started.fetch_add(1);
          std::this_thread::yield();
          running.fetch_sub(1);
        },
        [&] {
          EXPECT(std::this_thread::get_id() == caller);
          if (++polls == 5) throw genfast::Interrupted("stop");
        });
  } catch (const genfast::Interrupted&) {
    cancelled = true;
  }
  EXPECT(cancelled && polls == 5 && running.load() == 0);
  const int after = started.load();
  std::this_thread::yield();
  EXPECT(started.load() == after && after < 1 << 20);
}

void poll_runs_while_waiting() {
  std::atomic<bool> helper_in{false};
  int polls = 0;
  const auto caller = std::this_thread::get_id();
  parallel_for(
      2, 2,
      [&](int64_t) {
        if (std::this_thread::get_id() == caller) {
          for (int i = 0; i < 2000 && !helper_in.load(); ++i) nap(1);
        } else {
          helper_in.store(true);
          nap(150);
        }
      },
      [&] { ++polls; });
  EXPECT(!helper_in.load() || polls >= 3);
}

// True when subnormals survive and rounding is to nearest. By arithmetic: on x86 fegetround() asks the x87 unit, which no kernel
// uses.
bool environment_is_ieee() {
  volatile float tiny = std::numeric_limits<float>::min(), half = 0.5f, one = 1, little = 1e-10f;
  volatile float subnormal = tiny * half, up = one + little, down = one - little;
  return subnormal != 0 && up == one && down == one;
}

void jobs_see_ieee_floats() {
  std::fesetround(FE_UPWARD);
#if defined(__SSE__)
  const unsigned before = __builtin_ia32_stmxcsr() | 0x8040;  // FTZ and DAZ
  __builtin_ia32_ldmxcsr(before);
#endif
  std::atomic<int> wrong{0};
  parallel_for(64, 0, [&](int64_t) { wrong.fetch_add(!environment_is_ieee()); });
  try {
    parallel_for(4, 0, [&](int64_t) { throw 1; });
  } catch (int) {
  }
  EXPECT(std::fegetround() == FE_UPWARD);
#if defined(__SSE__)
  EXPECT((__builtin_ia32_stmxcsr() & ~0x3Fu) == (before & ~0x3Fu));
  __builtin_ia32_ldmxcsr(0x1F80);
#endif
  std::fesetround(FE_TONEAREST);
  EXPECT(wrong.load() == 0);
}

// Runs `body` in a child and expects it to end by itself with exit code 0.
template <class Body>
void in_child(const Body& body, int line) {
  const pid_t child = fork();
  if (child < 0) broken("fork", line);
  if (child == 0) {
    alarm(60);
    body();
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) broken("the child crashed, hung or failed", line);
}

void child_of_fork_works() {
  in_child(
      [] {
        genfast::set_num_threads(kThreadsInChild);
        each_task_runs_once(500, 0);
        _exit(0);
      },
      __LINE__);
}

void fork_from_poll_is_an_error_in_the_child() {
  const pid_t parent = getpid();
  pid_t child = 0;
  try {
    parallel_for(
        64, 0, [](int64_t) { nap(1); },
        [&] {
          if (child == 0) child = fork();
        });
  } catch (const genfast::Error&) {
    if (getpid() == parent) broken("the parent saw the child's error", __LINE__);
    genfast::set_num_threads(kThreadsInChild);
    each_task_runs_once(100, 0);
    _exit(0);
  }
  if (getpid() != parent) _exit(2);
  int status = 1;
  EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

void environment_variable_is_checked() {
  const auto decided = [](const char* value) {
    setenv("GENFAST_NUM_THREADS", value, 1);
    try {
      _exit(genfast::num_threads() == 3 ? 0 : 1);
    } catch (const genfast::ArgumentError& error) {
      _exit(std::string(error.what()).find(value) != std::string::npos ? 0 : 1);
    }
  };
  for (const char* value : {"3", "0", "-1", "1025", "two", "3.5", " 3", "99999999999999999999"})
    in_child([&] { decided(value); }, __LINE__);
}

void processes_exit(bool busy) {
  in_child(
      [busy] {
        genfast::set_num_threads(4);
        each_task_runs_once(100, 0);
        if (busy) std::thread([] { parallel_for(1 << 20, 0, [](int64_t) { nap(1); }); }).detach();
        nap(5);
        std::exit(0);  // runs static destructors, with the pool's threads asleep or at work
      },
      __LINE__);
}

// Older Pythons end a daemon thread inside poll, or inside a job that polls, with pthread_exit: it unwinds, and may not be caught.
void caller_may_be_ended(bool in_poll) {
  std::atomic<int> running{0};
  std::atomic<bool> came_back{false};
  std::thread([&] {
    const auto caller = std::this_thread::get_id();
    const auto end = [&] {
      running.fetch_sub(!in_poll);
      pthread_exit(nullptr);
    };
    parallel_for(
        1 << 20, 0,
        [&](int64_t task) {
          running.fetch_add(1);
          if (!in_poll && task > 5 && std::this_thread::get_id() == caller) end();
          std::this_thread::yield();
          running.fetch_sub(1);
        },
        [&] {
          if (in_poll) end();
        });
    came_back.store(true);
  }).join();
  EXPECT(!came_back.load() && running.load() == 0);
}

void callers_share_the_pool(int rounds) {
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 6; ++caller)
    callers.emplace_back([=] {
      for (int round = 0; round < rounds; ++round) {
        each_task_runs_once(1 + (round * 7 + caller) % 50, (round + caller) % 5);
        if (round % 4 == caller % 4) first_exception_comes_back(20, 0);
        if (round % 8 == caller) poll_cancels(0);
        if (round % 5 == caller) calls_nest();
        if (round % 16 == caller) genfast::set_num_threads(1 + round % 6);
      }
    });
  for (std::thread& caller : callers) caller.join();
}

void fork_under_load(int rounds) {
  std::atomic<bool> done{false};
  std::vector<std::thread> load;
  for (int i = 0; i < 3; ++i)
    load.emplace_back([&] {
      while (!done.load()) each_task_runs_once(40, 0);
    });
  for (int round = 0; round < rounds; ++round) child_of_fork_works();
  done.store(true);
  for (std::thread& thread : load) thread.join();
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 200;
  alarm(600);
  environment_variable_is_checked();  // first: the number of threads is decided once
  unsetenv("GENFAST_NUM_THREADS");
  processes_exit(false);
  processes_exit(true);
  genfast::set_num_threads(4);
  for (int bad : {0, -1, 1025}) {
    bool refused = false;
    try {
      genfast::set_num_threads(bad);
    } catch (const genfast::ArgumentError&) {
      refused = true;
    }
    EXPECT(refused);
  }
  parallel_for(0, 0, [](int64_t) { broken("there is no task", __LINE__); });
  for (int tasks : {1, 2, 3, 17, 1000})
    for (int threads : {-1, 0, 1, 2, 64}) each_task_runs_once(tasks, threads);
  for (int threads : {0, 1, 2}) first_exception_comes_back(30, threads);
  for (int threads : {0, 1, 2}) poll_cancels(threads);
  as_many_threads_as_asked();
  calls_nest();
  poll_runs_while_waiting();
  jobs_see_ieee_floats();
  for (int round = 0; round < 20; ++round) caller_may_be_ended(round % 2);
  callers_share_the_pool(rounds);
  genfast::set_num_threads(4);
  as_many_threads_as_asked();
  child_of_fork_works();
  fork_from_poll_is_an_error_in_the_child();
  fork_under_load(std::min(rounds, 50));
  std::printf("pool_stress: %d rounds, all well\n", rounds);
  return 0;
}
