// The public Model: checks arguments, cuts rows into tiles, hands them to decoders on the thread pool.
#ifdef __linux__
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <thread>

#include "base/thread_pool.h"
#include "engine/prepared.h"
#include "engine/program_of.h"
#include "engine/tile_run.h"
#include "genfast/genfast.h"
#include "graph/reader.h"
#include "kernels/kernels.h"

namespace genfast {
namespace {

using Clock = std::chrono::steady_clock;
using Conditions = std::map<std::string, const float*>;
constexpr auto kPollEvery = std::chrono::milliseconds(50);

void check_condition(const Condition& condition, const float* data, int64_t n, const std::string& what) {
  const int64_t per_row = elements(condition.shape);
  for (int64_t i = 0; i < n * per_row; ++i) {
    const float x = data[i];
    const bool bad = condition.integer
                         ? !(x >= 0 && x < static_cast<float>(condition.size) && x == static_cast<float>(static_cast<int64_t>(x)))
                         : !(x - x == 0);
    if (!bad) continue;
    throw ArgumentError(
        what + " '" + condition.name + "', row " + std::to_string(i / per_row) + ": " +
        (condition.integer ? "must be an integer from 0 to " + std::to_string(condition.size - 1) : "must be finite") + ", got " +
        std::to_string(x));
  }
}

// The conditions in the graph's order, from `given` or else from `otherwise`.
std::vector<const float*> check_conditions(const Graph& graph, int64_t n, const Conditions& given, const Conditions& otherwise,
                                           const std::string& what) {
  std::vector<const float*> data;
  for (const Condition& condition : graph.conditions) {
    auto it = given.find(condition.name);
    if (it == given.end()) it = otherwise.find(condition.name);
    if (it == given.end() || it == otherwise.end() || (!it->second && n > 0))
      throw ArgumentError(what + " '" + condition.name + "' is missing");
    check_condition(condition, it->second, n, what);
    data.push_back(it->second);
  }
  for (const auto& [name, pointer] : given) {
    const bool known = std::any_of(graph.conditions.begin(), graph.conditions.end(),
                                   [&, &key = name](const Condition& c) { return c.name == key; });
    if (known) continue;
    std::string names;
    for (const Condition& c : graph.conditions) names += (names.empty() ? "" : ", ") + c.name;
    throw ArgumentError("the model has no condition '" + name + "'; it has " + (names.empty() ? "none" : names));
  }
  return data;
}

void check_filters(const Head& head, const Options& options) {
  if (!(options.temperature > 0) || options.temperature > 3.4e38f)
    throw ArgumentError("temperature must be a positive finite number, got " + std::to_string(options.temperature));
  if (options.top_k < 1) throw ArgumentError("top_k must be at least 1, got " + std::to_string(options.top_k));
  if (!(options.top_p >= 0 && options.top_p <= 1))
    throw ArgumentError("top_p must be in [0, 1], got " + std::to_string(options.top_p));
  if (!(options.min_p >= 0 && options.min_p <= 1))
    throw ArgumentError("min_p must be in [0, 1], got " + std::to_string(options.min_p));
  const bool logits = head.kind == HeadKind::categorical || head.kind == HeadKind::bernoulli;
  if (options.temperature != 1 && !logits)
    throw ArgumentError("temperature divides logits, and this model's head has none: leave it at 1");
  const bool filtered = options.top_k < INT64_MAX || options.top_p < 1 || options.min_p > 0;
  if (filtered && head.kind != HeadKind::categorical)
    throw ArgumentError("top_k, top_p and min_p filter categories, and this model's head is not categorical");
}

bool check_guidance(const Graph& graph, const Options& options) {
  const float g = options.guidance;
  if (!(g - g == 0)) throw ArgumentError("guidance must be a finite number, got " + std::to_string(g));
  if (g == 1) return false;
  const Head& head = graph.head;
  if (head.kind != HeadKind::categorical && !(head.kind == HeadKind::bernoulli && !head.probs))
    throw ArgumentError("guidance mixes logits, and this model's head has none: leave it at 1");
  if (graph.conditions.empty()) throw ArgumentError("guidance needs a condition, and this model has none: leave it at 1");
  if (options.unconditional.empty()) {
    std::string names;
    for (const Condition& c : graph.conditions) names += (names.empty() ? "'" : "', '") + c.name;
    throw ArgumentError("guidance needs unconditional: what the model was trained to take for no condition, for one or more of " +
                        names + "'");
  }
  return true;
}

// What needs a distribution, of a graph that has none.
void check_head(const Graph& graph, const Call& call) {
  if (graph.head.kind != HeadKind::none) return;
  if (call.draws())
    throw ArgumentError("this model has no distribution to draw from, its inputs are given: call apply(x) for its output");
  if (!call.output) throw ArgumentError("this model has no distribution, so that nothing is scored: call apply(x) for its output");
}

void check_given(const Graph& graph, int64_t n, const Options& options) {
  if (options.max_tokens < 0) throw ArgumentError("max_tokens must be at least 0, got " + std::to_string(options.max_tokens));
  if (!graph.head.has_levels() && (options.max_tokens < graph.sites() || !options.stop.empty()))
    throw ArgumentError("max_tokens and stop are for models with levels, and this model's sites hold numbers");
  for (const int32_t level : options.stop)
    if (level < 0 || level >= graph.head.levels)
      throw ArgumentError("stop: level " + std::to_string(level) + " is outside 0 to " + std::to_string(graph.head.levels - 1));
  for (int64_t i = 0; options.prompt && i < n; ++i)
    if (options.prompt[i] < 0 || options.prompt[i] > graph.sites())
      throw ArgumentError("prompt: row " + std::to_string(i) + " has " + std::to_string(options.prompt[i]) +
                          " sites; the model has " + std::to_string(graph.sites()));
}

constexpr int64_t kMostFloatsAtOnce = int64_t{1} << 27;
// A step cannot be interrupted: about a second of work.
constexpr int64_t kMostWorkOfStep = int64_t{1} << 35;

// Prompts are planned in round lengths, so that there are few plans: to within an eighth, in multiples of 16.
int64_t round_prompt(int64_t length) {
  int64_t unit = 16;
  while (16 * unit <= length) unit *= 2;
  return length / unit * unit;
}

// Asks the caller now and then whether to go on (Options::poll), and lets the other threads know when not.
class Progress {
 public:
  Progress(const Options& options, int64_t done, int64_t total) : options_(options), total_(total), done_(done) {}

  // On the caller's thread only.
  void poll() {
    if (!options_.poll || Clock::now() - last_poll_ < kPollEvery) return;
    last_poll_ = Clock::now();
    try {
      options_.poll(std::min(total_, done_.load(std::memory_order_relaxed)), total_);
    } catch (...) {
      stop_ = true;
      throw;
    }
  }
  // After each step of a tile, on any thread. False: give up, the caller's exception is on its way.
  bool go_on(int64_t sites) {
    done_.fetch_add(sites, std::memory_order_relaxed);
    if (stop_.load(std::memory_order_relaxed)) return false;
    if (std::this_thread::get_id() == caller_) poll();
    return true;
  }

 private:
  const Options& options_;
  const int64_t total_;
  const std::thread::id caller_ = std::this_thread::get_id();
  Clock::time_point last_poll_ = Clock::now();
  std::atomic<int64_t> done_;
  std::atomic<bool> stop_{false};
};

// Of this machine, or "no limit" where it does not tell.
int64_t physical_memory() {
#ifdef __linux__
  const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
  if (pages > 0 && size > 0) return int64_t{pages} * size;
#endif
  return INT64_MAX;
}

// A stream holds all its rows at once: better an error than a machine that swaps, or a killed process.
void check_stream_memory(int64_t n, int64_t copies, const Plan& plan) {
  const int64_t per_row = std::max<int64_t>(1, copies * plan.floats_per_row * 4), most = physical_memory();
  if (n <= most / per_row) return;
  throw ArgumentError("n: a stream keeps the activations of all its rows, " + std::to_string(per_row >> 10) + " KiB a row, and " +
                      std::to_string(n) + " rows are more than the " + std::to_string(most >> 20) +
                      " MiB of this machine: stream at most " + std::to_string(most / per_row) +
                      " rows at a time, or use sample, which keeps a few");
}

}  // namespace

struct Model::Impl {
  Impl(std::shared_ptr<const Graph> g, const std::string& on) : graph(g), device(on), plans(std::move(g), on) {}

  std::shared_ptr<const Graph> graph;
  std::string device;
  PlanCache plans;

  std::shared_ptr<Prepared> prepare(int64_t n, const Call& call);
  void check(int64_t n, Call& call) const;
  void run(int64_t n, Call& call);
};

void Model::Impl::check(int64_t n, Call& call) const {
  const Options& options = *call.options;
  call.graph = graph.get();
  if (n < 0) throw ArgumentError("n must be at least 0, got " + std::to_string(n));
  if (call.output && graph->output.value < 0) throw ArgumentError("this model has no output: its samples are its sites");
  check_head(*graph, call);
  const bool numbers = call.out_f32 || call.x, levels = call.out_u8 || call.out_i32 || call.levels;
  if (call.output && !numbers && !levels && (options.known || options.prompt))
    throw ArgumentError("known and prompt need the array of sites that holds what is given");
  if ((numbers || levels || !call.output) && numbers == graph->head.has_levels())
    throw ArgumentError(graph->head.has_levels() ? "this model's sites have levels: pass integers instead of floats"
                                                 : "this model's sites hold numbers: pass floats instead of levels");
  const int64_t most = std::max(graph->head.levels - 1, graph->bos);
  if (call.out_u8 && most > 255)
    throw ArgumentError("this model has levels up to " + std::to_string(most) + "; sample into int32 instead of uint8");
  call.conditions = check_conditions(*graph, n, options.conditions, {}, "condition");
  if (call.logits || (call.output && !call.draws())) return;
  check_filters(graph->head, options);
  if (call.output && options.guidance != 1)
    throw ArgumentError("guidance mixes the logits of sites, which the output of a model does not show: leave it at 1");
  call.guided = check_guidance(*graph, options);
  if (call.guided) call.unconditional = check_conditions(*graph, n, options.unconditional, options.conditions, "unconditional");
  if (call.output && (options.max_tokens < graph->sites() || !options.stop.empty()))
    throw ArgumentError("max_tokens and stop leave sites without a level, and the output needs all");
  if (call.draws()) check_given(*graph, n, options);
}

// Sites that every row is given are planned as known, of prompts in round numbers. The rest of a prompt is given as it comes.
std::shared_ptr<Prepared> Model::Impl::prepare(int64_t n, const Call& call) {
  const Options& options = *call.options;
  PlanOptions wanted;
  wanted.wavefront = options.wavefront;
  wanted.output = call.output;
  const size_t sites = static_cast<size_t>(graph->sites());
  if (call.output && !call.draws()) {
    if (graph->head.kind != HeadKind::none) wanted.known.assign(sites, 1);
    return plans.get(wanted);
  }
  if (call.draws()) {
    if (options.known) wanted.known.assign(options.known, options.known + sites);
    if (options.prompt && n > 0) {
      const int64_t shortest = round_prompt(*std::min_element(options.prompt, options.prompt + n));
      if (shortest > 0 && wanted.known.empty()) wanted.known.assign(sites, 0);
      for (int64_t rank = 0; rank < shortest; ++rank)
        wanted.known[static_cast<size_t>(graph->order[static_cast<size_t>(rank)])] = 1;
    }
    for (uint8_t& known : wanted.known) known = known != 0;
    // Nothing is known: the plan that is there anyway. All is: no step of it will run, unless for an output.
    if (std::find(wanted.known.begin(), wanted.known.end(), 1) == wanted.known.end() ||
        (!call.output && std::find(wanted.known.begin(), wanted.known.end(), 0) == wanted.known.end()))
      wanted.known.clear();
    return plans.get(wanted);
  }
  // Given levels need no order. Drawn one at a time, every site would read all weights again: take them all in one step where
  // the activations of a row allow it.
  std::shared_ptr<Prepared> drawing = plans.get(wanted);
  if (drawing->plan().stats.widest_step > 1) return drawing;
  wanted.known.assign(static_cast<size_t>(graph->sites()), 1);
  std::shared_ptr<Prepared> at_once = plans.get(wanted);
  return at_once->plan().floats_per_row <= kMostFloatsAtOnce ? at_once : drawing;
}

void Model::Impl::run(int64_t n, Call& call) {
  check(n, call);
  const Options& options = *call.options;
  const std::shared_ptr<Prepared> ready = prepare(n, call);
  if (n == 0) return;
  const int64_t copies = call.guided ? 2 : 1;
  const int threads = options.threads > 0 ? std::min(options.threads, num_threads()) : num_threads();
  int64_t capacity = (ready->tile_rows(n * copies, threads) + copies - 1) / copies;
  const int64_t work = std::max<int64_t>(1, ready->plan().stats.step_multiply_adds * copies);
  if (ready->plan().steps.size() == 1 || call.output) capacity = std::clamp<int64_t>(kMostWorkOfStep / work, 1, capacity);
  const int64_t tiles = (n + capacity - 1) / capacity, total = n * call.units();
  call.tile_threads = static_cast<int>(std::max<int64_t>(1, threads / tiles));

  Progress progress(options, 0, total);
  auto job = [&](int64_t t) {
    const int64_t begin = t * capacity, rows = std::min(capacity, n - begin);
    TileRun tile(ready, call, begin, rows, capacity);
    int64_t before = 0;
    while (tile.step()) {
      if (!progress.go_on((tile.units_done() - before) * rows)) return;
      before = tile.units_done();
    }
    tile.finish();
    if (!progress.go_on((tile.units_done() - before) * rows)) return;
  };
  parallel_for(tiles, threads, job, [&] { progress.poll(); });
  if (options.poll) options.poll(total, total);
}

Model::Model(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model Model::load(const std::string& path) { return Model(std::make_shared<Impl>(read_graph(path), "cpu")); }
Model Model::load(const void* data, size_t size, const std::string& name) {
  return Model(std::make_shared<Impl>(read_graph(data, size, name), "cpu"));
}
Model Model::to(const std::string& device) const {
  backend(device);
  return device == impl_->device ? *this : Model(std::make_shared<Impl>(impl_->graph, device));
}
const std::string& Model::device() const { return impl_->device; }

int64_t Model::sites() const { return impl_->graph->sites(); }
int64_t Model::positions() const { return impl_->graph->positions(); }
int64_t Model::channels() const { return impl_->graph->channels(); }
int64_t Model::levels() const { return impl_->graph->head.levels; }
int64_t Model::outputs() const { return head_channels(impl_->graph->head, channels()); }
bool Model::outputs_by_position() const { return impl_->graph->head.by_position(); }
const std::vector<int64_t>& Model::input_shape() const { return impl_->graph->input_shape; }
bool Model::integer_input() const { return impl_->graph->input_integer; }
int64_t Model::bos() const { return impl_->graph->bos; }
std::vector<int32_t> Model::order() const { return impl_->graph->order; }
int64_t Model::uniforms() const { return impl_->graph->uniforms(); }
bool Model::has_distribution() const { return impl_->graph->head.kind != HeadKind::none; }
bool Model::has_output() const { return impl_->graph->output.value >= 0; }
const std::vector<int64_t>& Model::output_shape() const { return impl_->graph->output.shape; }
int64_t Model::rounds() const { return impl_->graph->iteration.rounds; }
std::string Model::meta() const { return impl_->graph->meta; }

std::vector<int32_t> Model::fixed_sites() const {
  const Graph& graph = *impl_->graph;
  std::vector<int32_t> fixed;
  std::copy_if(graph.order.begin(), graph.order.end(), std::back_inserter(fixed),
               [&](int32_t site) { return graph.head_position(site) < 0; });
  return fixed;
}

std::string Model::file_bytes() const {
  return std::string(static_cast<const char*>(impl_->graph->file_data), static_cast<size_t>(impl_->graph->file_bytes));
}

std::vector<ConditionInfo> Model::conditions() const {
  std::vector<ConditionInfo> infos;
  for (const Condition& c : impl_->graph->conditions) infos.push_back({c.name, c.shape, c.integer, c.size});
  return infos;
}

void Model::sample(int64_t n, uint8_t* levels, const Options& options) const {
  Call call;
  call.options = &options;
  call.out_u8 = levels;
  impl_->run(n, call);
}

void Model::sample(int64_t n, int32_t* levels, const Options& options) const {
  Call call;
  call.options = &options;
  call.out_i32 = levels;
  impl_->run(n, call);
}

void Model::sample(int64_t n, float* x, const Options& options) const {
  Call call;
  call.options = &options;
  call.out_f32 = x;
  impl_->run(n, call);
}

void Model::generate(int64_t n, float* output, int32_t* levels, const Options& options) const {
  Call call;
  call.options = &options;
  call.out_i32 = levels;
  call.output = output;
  impl_->run(n, call);
}

void Model::generate(int64_t n, float* output, float* x, const Options& options) const {
  Call call;
  call.options = &options;
  call.out_f32 = x;
  call.output = output;
  impl_->run(n, call);
}

void Model::apply(int64_t n, const int32_t* levels, float* output, const Options& options) const {
  Call call;
  call.options = &options;
  call.levels = levels;
  call.output = output;
  impl_->run(n, call);
}

void Model::apply(int64_t n, const float* x, float* output, const Options& options) const {
  Call call;
  call.options = &options;
  call.x = x;
  call.output = output;
  impl_->run(n, call);
}

void Model::log_prob(int64_t n, const int32_t* levels, double* out, const Options& options) const {
  Call call;
  call.options = &options;
  call.levels = levels;
  call.log_prob = out;
  impl_->run(n, call);
}

void Model::log_prob(int64_t n, const float* x, double* out, const Options& options) const {
  Call call;
  call.options = &options;
  call.x = x;
  call.log_prob = out;
  impl_->run(n, call);
}

void Model::rosenblatt(int64_t n, const int32_t* levels, double* lower, double* upper, const Options& options) const {
  Call call;
  call.options = &options;
  call.levels = levels;
  call.lower = lower;
  call.upper = upper;
  impl_->run(n, call);
}

void Model::rosenblatt(int64_t n, const float* x, double* lower, double* upper, const Options& options) const {
  Call call;
  call.options = &options;
  call.x = x;
  call.lower = lower;
  call.upper = upper;
  impl_->run(n, call);
}

void Model::logits(int64_t n, const int32_t* levels, float* out, const Options& options) const {
  Call call;
  call.options = &options;
  call.levels = levels;
  call.logits = out;
  impl_->run(n, call);
}

void Model::logits(int64_t n, const float* x, float* out, const Options& options) const {
  Call call;
  call.options = &options;
  call.x = x;
  call.logits = out;
  impl_->run(n, call);
}

// check() and prepare() only look whether there are arrays.
std::shared_ptr<const Program> program_of(const Model& model, const RowlessCall& rowless) {
  Options options = rowless.options;
  int32_t level = 0;
  float number = 0;
  const bool levels = model.levels() > 0;
  Call call;
  call.options = &options;
  if (rowless.draws) {
    if (levels)
      call.out_i32 = &level;
    else
      call.out_f32 = &number;
  } else {
    if (levels)
      call.levels = &level;
    else
      call.x = &number;
  }
  if (rowless.output) call.output = &number;
  if (rowless.logits) call.logits = &number;
  model.impl_->check(0, call);
  options.prompt = rowless.shortest_prompt > 0 ? &rowless.shortest_prompt : nullptr;
  return model.impl_->prepare(1, call)->program();
}

struct TokenStream::Impl {
  std::shared_ptr<const Graph> graph;
  Options options;
  Call call;
  int threads = 1;
  int64_t n = 0, capacity = 1, rank = 0;
  std::vector<int32_t> levels;  // [n][sites]: what is given
  std::vector<std::unique_ptr<TileRun>> tiles;
};

TokenStream::TokenStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TokenStream::TokenStream(TokenStream&&) noexcept = default;
TokenStream::~TokenStream() = default;

TokenStream Model::stream(int64_t n, const int32_t* given, const Options& options) const {
  auto stream = std::make_unique<TokenStream::Impl>();
  stream->graph = impl_->graph;
  stream->options = options;
  stream->n = n;
  stream->call.options = &stream->options;
  stream->call.streams = true;
  const int64_t sites = impl_->graph->sites();
  impl_->check(n, stream->call);
  const std::shared_ptr<Prepared> ready = impl_->prepare(n, stream->call);
  if (n == 0) return TokenStream(std::move(stream));

  const int64_t copies = stream->call.guided ? 2 : 1;
  check_stream_memory(n, copies, ready->plan());
  stream->levels.resize(static_cast<size_t>(n * sites));
  if (given) std::copy_n(given, stream->levels.size(), stream->levels.begin());
  stream->call.out_i32 = stream->levels.data();
  stream->threads = options.threads > 0 ? std::min(options.threads, num_threads()) : num_threads();
  const int64_t capacity = (ready->tile_rows(n * copies, stream->threads) + copies - 1) / copies;
  stream->capacity = capacity;
  stream->tiles.resize(static_cast<size_t>((n + capacity - 1) / capacity));
  Progress progress(options, 0, n * sites);
  parallel_for(
      static_cast<int64_t>(stream->tiles.size()), stream->threads,
      [&](int64_t t) {
        const int64_t begin = t * capacity;
        stream->tiles[static_cast<size_t>(t)] =
            std::make_unique<TileRun>(ready, stream->call, begin, std::min(capacity, n - begin), capacity);
      },
      [&] { progress.poll(); });
  stream->rank = options.prompt ? *std::min_element(options.prompt, options.prompt + n) : 0;
  while (stream->rank < sites && impl_->graph->head_position(impl_->graph->order[static_cast<size_t>(stream->rank)]) < 0)
    ++stream->rank;
  return TokenStream(std::move(stream));
}

bool TokenStream::next(int32_t* levels) {
  Impl& s = *impl_;
  int64_t end = 0;
  for (const auto& tile : s.tiles) end = std::max(end, tile->end());
  if (s.rank >= end) return false;
  // Stopped by poll, the step may be called again: tiles that have taken it wait for the others.
  Progress progress(s.options, s.rank * s.n, s.n * s.graph->sites());
  parallel_for(
      static_cast<int64_t>(s.tiles.size()), s.threads,
      [&](int64_t t) {
        TileRun& tile = *s.tiles[static_cast<size_t>(t)];
        const int64_t rows = std::min(s.capacity, s.n - t * s.capacity);
        int64_t before = tile.units_done();
        while (tile.drawn() <= s.rank && tile.step()) {
          if (!progress.go_on((tile.units_done() - before) * rows)) return;
          before = tile.units_done();
        }
        tile.tokens(s.rank, levels + t * s.capacity);
      },
      [&] { progress.poll(); });
  ++s.rank;
  return true;
}

void Model::plan(bool wavefront) const { impl_->plans.get({wavefront, {}, has_output()}); }

std::string Model::explain() const {
  const std::shared_ptr<Prepared> ready = impl_->plans.get({true, {}, has_output()});
  return describe(*impl_->graph, ready->plan());
}

std::string cpu_target() { return active_kernels().target; }

}  // namespace genfast
