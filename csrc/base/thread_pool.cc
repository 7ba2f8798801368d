#include "base/thread_pool.h"

#include <pthread.h>
#include <signal.h>
#ifdef __GLIBCXX__
#include <cxxabi.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/errors.h"
#include "base/float_env.h"

namespace genfast {
namespace {

constexpr int kMaxThreads = 1024;
constexpr auto kPollInterval = std::chrono::milliseconds(20);

int available_cpus() {
#ifdef __linux__
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {  // the kernel's mask may be larger than cpu_set_t
    std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(cpus), [](cpu_set_t* s) { CPU_FREE(s); });
    if (!set) break;
    const size_t bytes = CPU_ALLOC_SIZE(cpus);
    if (sched_getaffinity(0, bytes, set.get()) == 0) return std::clamp(CPU_COUNT_S(bytes, set.get()), 1, kMaxThreads);
  }
#endif
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads);
}

int default_threads() {
  const char* text = std::getenv("GENFAST_NUM_THREADS");
  if (!text || !*text) return available_cpus();
  int n = 0;
  const char* end = text + std::strlen(text);
  const auto [parsed, error] = std::from_chars(text, end, n);
  if (error != std::errc() || parsed != end || n < 1 || n > kMaxThreads)
    throw ArgumentError("GENFAST_NUM_THREADS must be a whole number from 1 to 1024, got \"" + std::string(text).substr(0, 40) +
                        "\"");
  return n;
}

std::atomic<int> g_threads{0};  // 0: not decided yet

// One parallel_for in progress. It lives on its caller's stack; the pool's mutex guards the plain members.
struct Call {
  Call(int64_t n, const std::function<void(int64_t)>& f) : tasks(n), job(f) {}

  const int64_t tasks;
  const std::function<void(int64_t)>& job;
  std::atomic<int64_t> next{0};
  std::atomic<bool> stop{false};

  std::mutex error_mutex;
  std::exception_ptr error;

  int wanted = 0;   // helpers that may still join
  int running = 0;  // helpers inside
  std::condition_variable left;

  bool step() {  // runs one task; false when there is none left to start
    if (stop.load(std::memory_order_relaxed)) return false;
    const int64_t task = next.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks) return false;
    try {
      IeeeFloatScope ieee;
      job(task);
#ifdef __GLIBCXX__
    } catch (const abi::__forced_unwind&) {  // pthread_exit, by which Python ends its daemon threads, must not be kept for later
      stop.store(true, std::memory_order_relaxed);
      throw;
#endif
    } catch (...) {
      stop.store(true, std::memory_order_relaxed);
      std::lock_guard<std::mutex> lock(error_mutex);
      if (!error) error = std::current_exception();
    }
    return true;
  }
};

// Leaked on purpose: its threads are detached and may outlive static destructors, so a process can exit while they sleep.
class Pool {
 public:
  void enlist(Call& call, int helpers) {
    std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(&call);
    call.wanted = helpers;
    int queued = 0;
    for (const Call* c : queue_) queued += c->wanted;
    const int limit = g_threads.load(std::memory_order_relaxed) - 1;
    while (idle_ < queued && live_ < limit && start_thread()) {
    }
    for (int i = 0; i < helpers; ++i) work_.notify_one();
  }

  // Takes the call off the queue and waits for its helpers, calling poll meanwhile if there is one.
  void dismiss(Call& call, const std::function<void()>* poll) {
    std::unique_lock<std::mutex> lock(mutex_);
    queue_.erase(std::remove(queue_.begin(), queue_.end(), &call), queue_.end());
    const auto empty = [&call] { return call.running == 0; };
    if (!poll) return call.left.wait(lock, empty);
    while (!call.left.wait_for(lock, kPollInterval, empty)) {
      lock.unlock();
      (*poll)();
      lock.lock();
    }
  }

  void limit_changed() {
    std::lock_guard<std::mutex> lock(mutex_);
    work_.notify_all();
  }

 private:
  bool start_thread() {
    // Workers take no signals: a Python signal handler must find the main thread, and read(2) elsewhere must not see EINTR for us.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = true;
    try {
      std::thread([this] { work(); }).detach();
      ++live_, ++idle_;
    } catch (const std::exception&) {  // no more threads to be had: the caller does the work alone
      started = false;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
  }

  void work() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      const auto surplus = [this] { return live_ > g_threads.load(std::memory_order_relaxed) - 1; };
      work_.wait(lock, [&] { return surplus() || !queue_.empty(); });
      if (surplus()) {
        --live_, --idle_;
        return;
      }
      Call& call = *queue_.front();
      if (--call.wanted == 0) queue_.erase(queue_.begin());
      ++call.running, --idle_;
      lock.unlock();
      while (call.step()) {
      }
      lock.lock();
      ++idle_;
      if (--call.running == 0) call.left.notify_one();  // under the lock: the call may be gone as soon as it is released
    }
  }

  std::mutex mutex_;
  std::condition_variable work_;
  std::vector<Call*> queue_;  // calls that want helpers, oldest first
  int live_ = 0, idle_ = 0;   // threads; those among them not inside a call
};

// A child of fork() has the parent's pool but none of its threads, and its mutex may be held by one of them: it must never be
// touched again. The handler only drops the pointer; a pointer and not a function's static, because that one's guard can be held
// across fork.
std::atomic<Pool*> g_pool{nullptr};
std::atomic<unsigned> g_forks{0};
[[maybe_unused]] const int g_fork_handler = pthread_atfork(nullptr, nullptr, [] {
  g_pool.store(nullptr);
  g_forks.fetch_add(1);
});

Pool& pool() {
  Pool* existing = g_pool.load();
  if (existing) return *existing;
  Pool* fresh = new Pool;
  if (g_pool.compare_exchange_strong(existing, fresh)) return *fresh;
  delete fresh;
  return *existing;
}

// Leaves no helper behind, however the caller's frame is left: normally, by poll's exception, or by the forced unwinding with which
// older Pythons end daemon threads (which may not be caught and kept).
class Enlisted {
 public:
  Enlisted(Call& call, int helpers) : call_(call), pool_(pool()), forks_(g_forks.load()) { pool_.enlist(call, helpers); }
  ~Enlisted() {
    call_.stop.store(true, std::memory_order_relaxed);
    if (!forked()) pool_.dismiss(call_, nullptr);
  }
  void wait(const std::function<void()>& poll) { pool_.dismiss(call_, poll ? &poll : nullptr); }
  bool forked() const { return g_forks.load() != forks_; }

 private:
  Call& call_;
  Pool& pool_;
  const unsigned forks_;
};

}  // namespace

int num_threads() {
  int n = g_threads.load();
  if (n) return n;
  const int decided = default_threads();
  return g_threads.compare_exchange_strong(n, decided) ? decided : n;
}

void set_num_threads(int n) {
  if (n < 1 || n > kMaxThreads) throw ArgumentError("the number of threads must be from 1 to 1024, got " + std::to_string(n));
  g_threads.store(n);
  if (Pool* p = g_pool.load()) p->limit_changed();
}

void parallel_for(int64_t tasks, int max_threads, const std::function<void(int64_t)>& job, const std::function<void()>& poll) {
  if (tasks <= 0) return;
  int threads = num_threads();
  if (max_threads >= 1) threads = std::min(threads, max_threads);
  const int helpers = static_cast<int>(std::min<int64_t>(threads, tasks)) - 1;

  Call call(tasks, job);
  if (helpers == 0) {
    while (call.step())
      if (poll && call.next.load(std::memory_order_relaxed) < tasks) poll();
  } else {
    Enlisted enlisted(call, helpers);
    // poll may run any Python signal handler, even one that forks; the child has no helpers to wait for, only an error to report.
    const auto checked_poll = [&] {
      poll();
      if (enlisted.forked()) throw Error("this process was forked from inside a running call; start the call again in the child");
    };
    while (call.step())
      if (poll && call.next.load(std::memory_order_relaxed) < tasks) checked_poll();
    enlisted.wait(poll ? std::function<void()>(checked_poll) : poll);
  }
  if (call.error) std::rethrow_exception(call.error);
}

}  // namespace genfast
