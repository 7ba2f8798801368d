// The public Model: checks arguments, cuts rows into tiles, hands them to decoders on the thread pool.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "base/thread_pool.h"
#include "engine/backend.h"
#include "genfast/genfast.h"
#include "graph/reader.h"
#include "kernels/kernels.h"

namespace genfast {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPollEvery = std::chrono::milliseconds(50);

// A decoder with the arrays of its tile, kept between calls: fresh pages cost more than decoding a small tile.
struct Workspace {
  std::unique_ptr<Decoder> decoder;
  std::vector<int32_t> levels;      // [site][row]
  std::vector<double> u, log_prob;  // [site][row]
  std::vector<double> row;          // uniforms of one row
};

// A plan's program and the idle workspaces made for it.
class Prepared {
 public:
  Prepared(std::shared_ptr<const Graph> graph, std::shared_ptr<const Plan> plan)
      : plan_(plan), program_(backend("cpu").prepare(std::move(graph), std::move(plan))) {}

  const Plan& plan() const { return *plan_; }
  int64_t tile_rows(int64_t rows, int threads) const { return program_->tile_rows(rows, threads); }

  // A workspace for the length of a tile; it comes back even when the tile throws.
  class Lease {
   public:
    Lease(Prepared& owner, int64_t capacity) : owner_(owner), capacity_(capacity), workspace_(owner.take(capacity)) {}
    ~Lease() { owner_.give_back(capacity_, std::move(workspace_)); }
    Lease(const Lease&) = delete;
    Workspace& operator*() { return *workspace_; }

   private:
    Prepared& owner_;
    int64_t capacity_;
    std::unique_ptr<Workspace> workspace_;
  };

 private:
  static constexpr size_t kMostIdle = 8;

  std::unique_ptr<Workspace> take(int64_t capacity) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (size_t i = idle_.size(); i-- > 0;) {
        if (idle_[i].first != capacity) continue;
        std::unique_ptr<Workspace> workspace = std::move(idle_[i].second);
        idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
        return workspace;
      }
    }
    auto workspace = std::make_unique<Workspace>();
    workspace->decoder = program_->decoder(capacity);
    return workspace;
  }

  void give_back(int64_t capacity, std::unique_ptr<Workspace> workspace) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.size() == kMostIdle) idle_.erase(idle_.begin());
    idle_.emplace_back(capacity, std::move(workspace));
  }

  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<const Program> program_;
  std::mutex mutex_;
  std::vector<std::pair<int64_t, std::unique_ptr<Workspace>>> idle_;
};

int64_t elements(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;
  return n;
}

// What one call reads and writes; null where it does not.
struct Call {
  uint8_t* out_u8 = nullptr;
  int32_t* out_i32 = nullptr;
  const int32_t* given = nullptr;
  double* log_prob = nullptr;
  float* logits = nullptr;
};

}  // namespace

struct Model::Impl {
  explicit Impl(std::shared_ptr<const Graph> g) : graph(std::move(g)) {}

  std::shared_ptr<const Graph> graph;
  std::mutex mutex;
  std::shared_ptr<Prepared> prepared[2];  // [wavefront]

  std::shared_ptr<Prepared> prepare(bool wavefront) {
    std::lock_guard<std::mutex> lock(mutex);
    std::shared_ptr<Prepared>& made = prepared[wavefront];
    if (!made) made = std::make_shared<Prepared>(graph, make_plan(*graph, {wavefront, {}}));
    return made;
  }

  std::vector<const float*> check(int64_t n, const Options& options) const;
  void run(int64_t n, const Options& options, const Call& call);
  void run_tile(Prepared& ready, const Options& options, const Call& call, const std::vector<const float*>& conditions,
                int64_t begin, int64_t rows, int64_t capacity, const std::function<void(int64_t)>& on_step) const;
};

std::vector<const float*> Model::Impl::check(int64_t n, const Options& options) const {
  if (n < 0) throw ArgumentError("n must be at least 0, got " + std::to_string(n));
  if (!(options.temperature > 0) || options.temperature > 3.4e38f)
    throw ArgumentError("temperature must be a positive finite number, got " + std::to_string(options.temperature));
  std::vector<const float*> data;
  for (const Condition& condition : graph->conditions) {
    const auto it = options.conditions.find(condition.name);
    if (it == options.conditions.end() || (!it->second && n > 0))
      throw ArgumentError("condition '" + condition.name + "' is missing");
    const int64_t per_row = elements(condition.shape);
    for (int64_t i = 0; i < n * per_row; ++i) {
      const float x = it->second[i];
      const bool bad = condition.integer
                           ? !(x >= 0 && x < static_cast<float>(condition.size) && x == static_cast<float>(static_cast<int64_t>(x)))
                           : !(x - x == 0);
      if (!bad) continue;
      throw ArgumentError(
          "condition '" + condition.name + "', row " + std::to_string(i / per_row) + ": " +
          (condition.integer ? "must be an integer from 0 to " + std::to_string(condition.size - 1) : "must be finite") + ", got " +
          std::to_string(x));
    }
    data.push_back(it->second);
  }
  for (const auto& [name, pointer] : options.conditions) {
    const bool known = std::any_of(graph->conditions.begin(), graph->conditions.end(),
                                   [&, &key = name](const Condition& c) { return c.name == key; });
    if (known) continue;
    std::string names;
    for (const Condition& c : graph->conditions) names += (names.empty() ? "" : ", ") + c.name;
    throw ArgumentError("the model has no condition '" + name + "'; it has " + (names.empty() ? "none" : names));
  }
  return data;
}

void Model::Impl::run_tile(Prepared& ready, const Options& options, const Call& call, const std::vector<const float*>& conditions,
                           int64_t begin, int64_t rows, int64_t capacity, const std::function<void(int64_t)>& on_step) const {
  const int64_t sites = graph->sites(), level_count = graph->head.levels;
  const int64_t per_site = graph->head.kind == HeadKind::categorical ? level_count : 1;
  Prepared::Lease lease(ready, capacity);
  auto& [decoder, levels, u, log_prob, row] = *lease;
  levels.resize(static_cast<size_t>(sites * rows));
  Tile tile;
  tile.rows = rows;
  tile.levels = levels.data();
  tile.temperature = options.temperature;
  for (size_t i = 0; i < conditions.size(); ++i)
    tile.conditions.push_back(conditions[i] + begin * elements(graph->conditions[i].shape));
  if (call.given) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t s = 0; s < sites; ++s) {
        const int32_t level = call.given[(begin + r) * sites + s];
        if (level < 0 || level >= level_count)
          throw ArgumentError("x: row " + std::to_string(begin + r) + ", site " + std::to_string(s) + " has level " +
                              std::to_string(level) + ", outside 0 to " + std::to_string(level_count - 1));
        levels[s * rows + r] = level;
      }
    if (call.log_prob) {
      log_prob.assign(levels.size(), 0.0);
      tile.log_prob = log_prob.data();
    }
    if (call.logits) tile.logits = call.logits + begin * sites * per_site;
  } else {
    u.resize(levels.size());
    row.resize(static_cast<size_t>(sites));
    const UniformsFn<double> fill = active_kernels().uniforms_f64;
    for (int64_t r = 0; r < rows; ++r) {
      const double* from = row.data();
      if (options.u) {
        from = options.u + (begin + r) * sites;
        for (int64_t s = 0; s < sites; ++s)
          if (!(from[s] >= 0 && from[s] <= 1))
            throw ArgumentError("u: row " + std::to_string(begin + r) + ", site " + std::to_string(s) + " is outside [0, 1]");
      } else {
        fill(row.data(), sites, options.seed, options.first_row + static_cast<uint64_t>(begin + r), 1, 0, sites);
      }
      for (int64_t s = 0; s < sites; ++s) u[s * rows + r] = from[s];
    }
    tile.u = u.data();
  }

  decoder->begin(tile, begin);
  int64_t done = 0;
  for (size_t i = 0; i < ready.plan().steps.size(); ++i) {
    decoder->step(static_cast<int64_t>(i));
    on_step(done += static_cast<int64_t>(ready.plan().steps[i].sites.size()));
  }

  for (int64_t r = 0; r < rows; ++r) {
    if (call.out_u8)
      for (int64_t s = 0; s < sites; ++s) call.out_u8[(begin + r) * sites + s] = static_cast<uint8_t>(levels[s * rows + r]);
    if (call.out_i32)
      for (int64_t s = 0; s < sites; ++s) call.out_i32[(begin + r) * sites + s] = levels[s * rows + r];
    if (call.log_prob) {
      double total = 0;
      for (int64_t s = 0; s < sites; ++s) total += log_prob[s * rows + r];
      call.log_prob[begin + r] = total;
    }
  }
}

void Model::Impl::run(int64_t n, const Options& options, const Call& call) {
  const std::vector<const float*> conditions = check(n, options);
  const std::shared_ptr<Prepared> ready = prepare(options.wavefront);
  if (n == 0) return;
  const int threads = options.threads > 0 ? std::min(options.threads, num_threads()) : num_threads();
  const int64_t capacity = ready->tile_rows(n, threads), tiles = (n + capacity - 1) / capacity, total = n * graph->sites();

  std::atomic<int64_t> done{0};
  std::atomic<bool> stop{false};
  const std::thread::id caller = std::this_thread::get_id();
  Clock::time_point last_poll = Clock::now();
  auto poll = [&] {
    if (!options.poll || Clock::now() - last_poll < kPollEvery) return;
    last_poll = Clock::now();
    try {
      options.poll(std::min(total, done.load(std::memory_order_relaxed)), total);
    } catch (...) {
      stop = true;
      throw;
    }
  };
  auto job = [&](int64_t t) {
    const int64_t begin = t * capacity, rows = std::min(capacity, n - begin);
    int64_t before = 0;
    run_tile(*ready, options, call, conditions, begin, rows, capacity, [&](int64_t sites_done) {
      done.fetch_add((sites_done - before) * rows, std::memory_order_relaxed);
      before = sites_done;
      if (stop.load(std::memory_order_relaxed)) throw Interrupted("stopped");
      if (std::this_thread::get_id() == caller) poll();
    });
  };
  parallel_for(tiles, threads, job, poll);
  if (options.poll) options.poll(total, total);
}

Model::Model(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model Model::load(const std::string& path) { return Model(std::make_shared<Impl>(read_graph(path))); }
Model Model::load(const void* data, size_t size, const std::string& name) {
  return Model(std::make_shared<Impl>(read_graph(data, size, name)));
}

int64_t Model::sites() const { return impl_->graph->sites(); }
int64_t Model::levels() const { return impl_->graph->head.levels; }
int64_t Model::outputs() const { return impl_->graph->head.kind == HeadKind::categorical ? levels() : 1; }
const std::vector<int64_t>& Model::input_shape() const { return impl_->graph->input_shape; }
std::string Model::meta() const { return impl_->graph->meta; }

std::string Model::file_bytes() const {
  return std::string(static_cast<const char*>(impl_->graph->file_data), static_cast<size_t>(impl_->graph->file_bytes));
}

std::vector<ConditionInfo> Model::conditions() const {
  std::vector<ConditionInfo> infos;
  for (const Condition& c : impl_->graph->conditions) infos.push_back({c.name, c.shape, c.integer, c.size});
  return infos;
}

void Model::sample(int64_t n, uint8_t* levels, const Options& options) const {
  if (impl_->graph->head.levels > 256)
    throw ArgumentError("this model has " + std::to_string(impl_->graph->head.levels) +
                        " levels; sample into int32 instead of uint8");
  Call call;
  call.out_u8 = levels;
  impl_->run(n, options, call);
}

void Model::sample(int64_t n, int32_t* levels, const Options& options) const {
  Call call;
  call.out_i32 = levels;
  impl_->run(n, options, call);
}

void Model::log_prob(int64_t n, const int32_t* levels, double* out, const Options& options) const {
  Call call;
  call.given = levels;
  call.log_prob = out;
  impl_->run(n, options, call);
}

void Model::logits(int64_t n, const int32_t* levels, float* out, const Options& options) const {
  Call call;
  call.given = levels;
  call.logits = out;
  impl_->run(n, options, call);
}

void Model::plan(bool wavefront) const { impl_->prepare(wavefront); }

std::string Model::explain() const {
  const std::shared_ptr<Prepared> ready = impl_->prepare(true);
  return describe(*impl_->graph, ready->plan());
}

std::string cpu_target() { return active_kernels().target; }

}  // namespace genfast
