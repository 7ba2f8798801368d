#include "cuda/decode/decoder.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "base/family_messages.h"
#include "cuda/decode/loaded_program.h"
#include "cuda/decode/notes.h"

namespace genfast {
namespace cuda {
namespace {

class DeviceDecoder : public Decoder {
 public:
  DeviceDecoder(std::shared_ptr<const LoadedProgram> loaded, int64_t capacity)
      : loaded_(std::move(loaded)),
        graph_(*loaded_->graph),
        queue_(loaded_->machine->queue()),
        logits_size_(static_cast<size_t>(loaded_->logits_size())),
        output_size_(static_cast<size_t>(loaded_->output_size())) {
    const std::shared_ptr<Machine>& machine = loaded_->machine;
    launch_.program = loaded_->program;
    launch_.shape = machine->shape(*loaded_->host, capacity);
    launch_.floats_per_row = loaded_->host->floats_per_row;
    launch_.rows = capacity;
    block_rows_ = launch_.shape.block_rows;
    const auto blocks = static_cast<size_t>(launch_.blocks());
    const int64_t even = block_rows_ + block_rows_ % 2;
    const auto rows = std::max(blocks * static_cast<size_t>(block_rows_), static_cast<size_t>((capacity + even - 1) / even * even));
    arena_ = {machine, rows * static_cast<size_t>(launch_.floats_per_row) + 16, "activations"};
    scratch_ = {machine, blocks * static_cast<size_t>(launch_.shape.scratch_floats) + 16, "scratch of activations"};
    failure_ = {machine, static_cast<size_t>(kFailureWords), "what goes wrong"};
    launch_.arena = arena_.data();
    launch_.scratch = scratch_.data();
    launch_.failure = failure_.data();
  }

  void begin(const Tile& tile, int64_t first_row) override {
    tile_ = &tile;
    first_row_ = first_row;
    fresh_ = true;
    round_ = 0;
    launch_.rows = tile.rows;
    // Guidance joins pairs of rows.
    launch_.shape.block_rows = tile.guidance != 1.0f ? block_rows_ + block_rows_ % 2 : block_rows_;
    TileArrays& to = launch_.tile;
    to = TileArrays{};
    to.rows = tile.rows;
    to.temperature = tile.temperature;
    to.guidance = tile.guidance;
    to.top_k = tile.filters.top_k;
    to.top_p = tile.filters.top_p;
    to.min_p = tile.filters.min_p;
    const size_t n = static_cast<size_t>(graph_.sites() * tile.rows);
    to.u = const_cast<double*>(take(u_, tile.u, n, "uniforms"));
    if (tile.counted) {
      u_ = grown(std::move(u_), n, "uniforms");
      to.u = u_.data();
      to.counted = true;
      to.seed = tile.seed;
      to.first_row = tile.first_row;
    }
    to.given = take(given_, tile.given, n, "what is given");
    to.levels = take(levels_, tile.levels, n, "levels");
    to.x = take(x_, tile.x, n, "numbers of sites");
    to.log_prob = take(log_prob_, tile.log_prob, n, "log probabilities");
    to.lower = take(lower_, tile.lower, n, "distribution functions");
    to.upper = take(upper_, tile.upper, n, "distribution functions");
    const size_t rows = static_cast<size_t>(tile.rows);
    to.logits = take(logits_, tile.logits, logits_size_ * rows, "logits");
    if (tile.output) output_ = grown(std::move(output_), output_size_ * rows, "outputs");
    to.output = tile.output ? output_.data() : nullptr;
    if (tile.filters.any()) take_filters();
    take_conditions(tile);
    queue_->upload(failure_.data(), none_.data(), none_.size() * sizeof(uint64_t));
  }

  void run(int64_t first, int64_t last) override {
    if (tile_->rolls) launch_.tile.rolls = take(rolls_, tile_->rolls, static_cast<size_t>(2 * tile_->rows), "rolls");
    queue_->launch(with({fresh_, static_cast<int32_t>(first), static_cast<int32_t>(last), static_cast<int32_t>(round_), false}));
    fresh_ = false;
    // A round that failed is told before the next, as its rolls may change under it.
    if (first == loaded_->plan->body) ++round_;
    if (tile_->watched || tile_->rolls) fetch();
  }

  void finish() override {
    if (tile_->output || fresh_) queue_->launch(with({fresh_, 0, 0, static_cast<int32_t>(round_), tile_->output != nullptr}));
    fetch();
    const size_t n = static_cast<size_t>(graph_.sites() * tile_->rows), rows = static_cast<size_t>(tile_->rows);
    give(tile_->log_prob, log_prob_, n);
    give(tile_->lower, lower_, n);
    give(tile_->upper, upper_, n);
    give(tile_->logits, logits_, logits_size_ * rows);
    give(tile_->output, output_, output_size_ * rows);
    check();
  }

 private:
  Launch with(Work work) const {
    Launch launch = launch_;
    launch.work = work;
    return launch;
  }

  template <class T>
  DeviceArray<T> grown(DeviceArray<T> array, size_t n, const char* what) const {
    return array.size() >= n ? std::move(array) : DeviceArray<T>(loaded_->machine, n, what);
  }
  // The machine's copy of a caller's array, or null.
  template <class T>
  T* take(DeviceArray<std::remove_const_t<T>>& array, T* from, size_t n, const char* what) {
    if (!from || n == 0) return nullptr;
    array = grown(std::move(array), n, what);
    queue_->upload(array.data(), from, n * sizeof(T));
    return array.data();
  }
  template <class T>
  void give(T* to, const DeviceArray<T>& array, size_t n) {
    if (to && n > 0) queue_->download(to, array.data(), n * sizeof(T));
  }

  void take_filters() {
    const int64_t blocks = launch_.blocks(), slots = loaded_->filter_slots(blocks, launch_.shape.block_rows);
    filtered_ = grown(std::move(filtered_), static_cast<size_t>(loaded_->filter_bytes(blocks, slots)), "what filters keep");
    launch_.tile.filtered = filtered_.data();
    launch_.tile.filter_slots = slots;
  }

  // Side by side, row by row.
  void take_conditions(const Tile& tile) {
    const auto rows = static_cast<size_t>(tile.rows), stride = static_cast<size_t>(loaded_->program.condition_floats);
    together_.resize(rows * stride);
    for (size_t k = 0; k < tile.conditions.size(); ++k) {
      const ConditionInfo& condition = loaded_->host->conditions[k];
      const auto size = static_cast<size_t>(int64_t{condition.positions} * condition.channels);
      for (size_t r = 0; r < rows; ++r)
        std::copy_n(tile.conditions[k] + r * size, size, together_.data() + r * stride + condition.at);
    }
    launch_.tile.conditions = take(conditions_, std::as_const(together_).data(), together_.size(), "conditions");
  }

  // What is drawn so far, or the error that stopped it.
  void fetch() {
    uint64_t key;
    queue_->download(&key, failure_.data(), sizeof key);
    const size_t n = static_cast<size_t>(graph_.sites() * tile_->rows);
    if (key != kNoFailure && static_cast<int64_t>(key >> 44) != kOutputStep) fail(key);
    if (!tile_->u && !tile_->counted) return;
    give(tile_->levels, levels_, n);
    give(tile_->x, x_, n);
  }

  void check() const {
    if (!tile_->output) return;
    const size_t size = output_size_;
    for (size_t i = 0; i < size * static_cast<size_t>(tile_->rows); ++i)
      if (!(tile_->output[i] - tile_->output[i] == 0))
        throw NumericalError("row " + std::to_string(first_row_ + static_cast<int64_t>(i / size)) + ", element " +
                             std::to_string(i % size) + " of the output is not finite");
  }

  [[noreturn]] void fail(uint64_t key) {
    const auto step = static_cast<int64_t>(key >> 44), place = static_cast<int64_t>(key >> 24) & (kMostPlaces - 1);
    const int64_t row = first_row_ + static_cast<int64_t>(key & (kMostRows - 1));
    if (place >= kStatePlace)
      throw NumericalError("row " + std::to_string(row) + ", round " + std::to_string(step) + ": state " +
                           std::to_string(place - kStatePlace) + " is not finite: the iteration diverges, a smaller step may help");
    const StepCommands& commands = loaded_->host->steps[static_cast<size_t>(step)];
    if (place < commands.n_commands) {
      const Command& command = loaded_->host->commands[static_cast<size_t>(commands.commands + place)];
      const auto index = static_cast<size_t>(command.index);
      const Node& node = graph_.nodes[static_cast<size_t>(loaded_->host->lookup_nodes[index])];
      throw NumericalError("layer " + node.name + " looks up an index outside its table of " +
                           std::to_string(loaded_->host->lookups[index].rows) + " rows (row " + std::to_string(row) + ")");
    }
    const Site& site = loaded_->host->sites[static_cast<size_t>(commands.sites + place - commands.n_commands)];
    throw NumericalError("row " + std::to_string(row) + ", site " + std::to_string(site.site) + ": " + why_no_distribution(key));
  }

  std::string why_no_distribution(uint64_t key) {
    switch (graph_.head.kind) {
      case HeadKind::logistic_mixture:
        return "the parameters of the mixture of logistics are not finite; check the weights and the conditions";
      case HeadKind::family:
        return why_no_number(key);
      default:
        return std::string("the model's output is NaN, +inf or all -inf") +
               (graph_.head.probs ? ", or a probability outside [0, 1]" : "") +
               "; check the weights, the conditions and the temperature";
    }
  }

  std::string why_no_number(uint64_t key) {
    Note notes[kNotes];
    queue_->download(notes, failure_.data() + 1, sizeof notes);
    const int64_t components = graph_.head.components;
    for (const Note& note : notes)
      if (note.key == key)
        return note.component < components ? no_distribution(graph_.head.family, note.params, components > 1 ? note.component : -1)
                                           : no_mixture();
    return "the model's output makes no " + std::string(info(graph_.head.family).name) +
           ", or no mixture of them; check the weights, the conditions and the head's links";
  }

  std::shared_ptr<const LoadedProgram> loaded_;
  const Graph& graph_;
  std::unique_ptr<Queue> queue_;
  const size_t logits_size_, output_size_;
  int64_t block_rows_ = 0;
  Launch launch_{};
  DeviceArray<float> arena_, scratch_;
  DeviceArray<uint64_t> failure_;
  const std::vector<uint64_t> none_ = std::vector<uint64_t>(static_cast<size_t>(kFailureWords), kNoFailure);

  // The tile's, as large as the largest so far.
  DeviceArray<double> u_, log_prob_, lower_, upper_;
  DeviceArray<int32_t> levels_, rolls_;
  DeviceArray<float> x_, logits_, output_, conditions_;
  DeviceArray<uint8_t> given_;
  DeviceArray<char> filtered_;
  std::vector<float> together_;  // conditions, on the host

  const Tile* tile_ = nullptr;
  int64_t first_row_ = 0;
  bool fresh_ = false;  // begun, and nothing placed yet
  int64_t round_ = 0;
};

class DeviceBackend : public Backend {
 public:
  DeviceBackend(std::shared_ptr<Machine> machine, Precision precision) : machine_(std::move(machine)), precision_(precision) {}
  std::shared_ptr<const genfast::Program> prepare(std::shared_ptr<const Graph> graph,
                                                  std::shared_ptr<const Plan> plan) const override {
    return std::make_shared<DeviceProgram>(
        std::make_shared<LoadedProgram>(machine_, std::move(graph), std::move(plan), precision_));
  }

 private:
  std::shared_ptr<Machine> machine_;
  const Precision precision_;
};

}  // namespace

std::unique_ptr<Decoder> DeviceProgram::decoder(int64_t capacity) const {
  return std::make_unique<DeviceDecoder>(loaded_, capacity);
}

std::unique_ptr<Backend> make_backend(std::shared_ptr<Machine> machine, Precision precision) {
  return std::make_unique<DeviceBackend>(std::move(machine), precision);
}

}  // namespace cuda
}  // namespace genfast
