#include "cuda/decode/compile_program.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/errors.h"
#include "cuda/decode/phase.h"
#include "cuda/tensor_tile.h"
#include "plan/gemm_pieces.h"

namespace genfast {
namespace cuda {
namespace {

using Positions = std::vector<int32_t>;

struct VectorHash {
  size_t operator()(const std::vector<int32_t>& v) const {
    uint64_t h = v.size();
    for (const int32_t x : v) h = (h ^ static_cast<uint32_t>(x)) * 0x9E3779B97F4A7C15;
    return static_cast<size_t>(h ^ h >> 32);
  }
};

class Compiler {
 public:
  Compiler(const Graph& graph, const Plan& plan, Precision precision)
      : graph_(graph),
        plan_(plan),
        precision_(precision),
        out_(std::make_unique<ProgramArrays>()),
        constants_(graph.values.size(), -1) {}

  std::unique_ptr<ProgramArrays> run() {
    longest_segment_ = 1;
    place_constants();
    out_->pieces.reserve(graph_.nodes.size());
    pieces_.resize(graph_.nodes.size());
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      if (graph_.nodes[i].kind == NodeKind::gemm) add_pieces(i);
    Program& program = out_->program;
    program.zeros = floats_of(std::vector<float>(static_cast<size_t>(longest_segment_), 0.0f));
    for (const int32_t site : plan_.known) add_site(site);
    program.n_known = static_cast<int32_t>(plan_.known.size());
    for (const Step& step : plan_.steps) add_step(step);
    program.n_listed = static_cast<int32_t>(out_->sites.size());
    link_products();
    place_weights();
    program.n_steps = static_cast<int32_t>(plan_.steps.size());
    program.body = static_cast<int32_t>(plan_.body);
    program.positions = graph_.positions();
    program.n_sites = graph_.sites();
    add_head();
    add_conditions();
    if (plan_.body >= 0) add_states();
    if (plan_.output) add_output();
    out_->floats_per_row = plan_.floats_per_row;
    out_->multiply_adds = plan_.stats.multiply_adds / std::max<int64_t>(1, graph_.iteration.rounds);
    check_limits();
    return std::move(out_);
  }

 private:
  // ---- data

  int64_t bytes_of(const void* from, size_t bytes) {
    std::vector<uint8_t>& data = out_->data;
    const size_t at = (data.size() + 63) / 64 * 64;
    data.resize(at + bytes);
    if (bytes) std::memcpy(data.data() + at, from, bytes);
    return static_cast<int64_t>(at);
  }
  int64_t floats_of(const float* from, size_t n) { return bytes_of(from, n * sizeof(float)) / 4; }
  int64_t floats_of(const std::vector<float>& v) { return floats_of(v.data(), v.size()); }
  // Of a weight of the graph, once.
  int64_t weight_bytes(int index) {
    if (index < 0) return -1;
    const auto found = weights_.find(index);
    if (found != weights_.end()) return found->second;
    const Weights& w = graph_.weights[static_cast<size_t>(index)];
    return weights_[index] = bytes_of(w.bytes, static_cast<size_t>(w.size) * static_cast<size_t>(info(w.type).bytes));
  }
  int64_t weight_floats(int index) { return index < 0 ? -1 : weight_bytes(index) / 4; }

  void place_constants() {
    for (const Node& node : graph_.nodes)
      if (node.kind == NodeKind::constant) constants_[static_cast<size_t>(node.out)] = weight_floats(node.data);
  }

  // ---- places

  int32_t intern(const std::vector<int32_t>& list) {
    const auto found = interned_.find(list);
    if (found != interned_.end()) return found->second;
    const auto at = static_cast<int32_t>(out_->places.size());
    if (out_->places.size() + list.size() > INT32_MAX) too_large("positions of its steps");
    out_->places.insert(out_->places.end(), list.begin(), list.end());
    interned_.emplace(list, at);
    return at;
  }

  bool is_constant(int value) const { return constants_[static_cast<size_t>(value)] >= 0; }
  int32_t stride(int value) const {
    return is_constant(value) ? 0 : static_cast<int32_t>(plan_.stride[static_cast<size_t>(value)]);
  }

  // Of what a source reads at position p of the reader, or -1.
  int32_t place(const Source& source, int64_t p) const {
    const int64_t q = source_position(graph_, source, p);
    if (q < 0) return -1;
    if (!is_constant(source.value)) return plan_.offset[static_cast<size_t>(source.value)][static_cast<size_t>(q)];
    return static_cast<int32_t>(constants_[static_cast<size_t>(source.value)] +
                                q * graph_.values[static_cast<size_t>(source.value)].channels);
  }
  Access access(const Source& source, const Positions& positions) {
    std::vector<int32_t> list;
    for (const int32_t p : positions) list.push_back(place(source, p));
    return {intern(list), stride(source.value), static_cast<int32_t>(source.channel), is_constant(source.value)};
  }
  // Through no table: positions are the value's own.
  Access own(int value, int64_t channel, const Positions& positions) {
    std::vector<int32_t> list;
    for (const int32_t p : positions) list.push_back(own_place(value, p));
    return {intern(list), stride(value), static_cast<int32_t>(channel), is_constant(value)};
  }
  int32_t own_place(int value, int64_t p) const {
    if (is_constant(value))
      return static_cast<int32_t>(constants_[static_cast<size_t>(value)] + p * graph_.values[static_cast<size_t>(value)].channels);
    return plan_.offset[static_cast<size_t>(value)][static_cast<size_t>(p)];
  }
  int32_t all_places(int value) {
    std::vector<int32_t> list;
    for (int64_t p = 0; p < graph_.values[static_cast<size_t>(value)].positions; ++p) list.push_back(own_place(value, p));
    return intern(list);
  }

  // ---- gemm nodes

  struct NodePiece {
    int32_t index;
    int64_t column;
    std::vector<PieceSegment> segments;
  };

  void add_pieces(size_t node_index) {
    const Node& node = graph_.nodes[node_index];
    const bool whole = plan_.classes[node_index].size() == 1;
    for (const PlanClass& cls : plan_.classes[node_index]) {
      std::vector<NodePiece> pieces;
      for (const auto& piece : gemm_pieces(graph_, node, cls)) {
        const bool in_file = whole && piece->copy.empty();
        const int64_t padded = piece->columns / kGemmBlock * kGemmBlock + round_up(piece->columns % kGemmBlock, 16);
        Piece p{};
        p.type = static_cast<int32_t>(piece->type);
        p.k_rows = static_cast<int32_t>(piece->k_rows);
        p.columns = static_cast<int32_t>(piece->columns);
        p.bias = !piece->bias ? -1 : in_file ? weight_floats(node.bias) : floats_of(piece->bias, static_cast<size_t>(padded));
        p.scales = -1;
        add_segments(*piece, p);
        p.bytes = piece->k_rows * padded * info(piece->type).bytes;
        if (precision_ == Precision::fast && tensor_steps_pay(*piece)) {
          add_tensor_steps(*piece, p);
        } else {
          p.weights = in_file ? weight_bytes(node.data)
                              : bytes_of(piece->weights, static_cast<size_t>(piece->k_rows * padded * info(piece->type).bytes));
          if (piece->scales)
            p.scales = in_file ? weight_floats(node.scales) : floats_of(piece->scales, static_cast<size_t>(padded));
        }
        pieces.push_back({static_cast<int32_t>(out_->pieces.size()), piece->column, piece->segments});
        out_->pieces.push_back(p);
      }
      pieces_[node_index].push_back(std::move(pieces));
    }
  }

  // What each command's next product is.
  void link_products() {
    int32_t next = -1;
    for (size_t k = out_->commands.size(); k-- > 0;) {
      out_->commands[k].next_gemm = next;
      if (out_->commands[k].kind == Command::Kind::gemm) next = out_->commands[k].index;
    }
  }

  void place_weights() {
    int64_t at = 0;
    for (Piece& p : out_->pieces) {
      p.resident = at;
      at += round_up(p.bytes, 64);
    }
    out_->program.resident_bytes = at;
    out_->program.n_pieces = static_cast<int32_t>(out_->pieces.size());
  }

  void add_segments(const GemmPiece& piece, Piece& p) {
    p.segments = static_cast<int32_t>(out_->segments.size());
    p.n_segments = static_cast<int32_t>(piece.segments.size());
    p.chunks = 1;
    for (const PieceSegment& s : piece.segments) {
      const bool fresh = s.run.new_chunk && &s != piece.segments.data();
      p.chunks += fresh;
      longest_segment_ = std::max(longest_segment_, s.run.count);
      out_->segments.push_back({static_cast<int32_t>(s.run.count), static_cast<int32_t>(s.run.weight_row), fresh, stride(s.value),
                                static_cast<int32_t>(s.channel), is_constant(s.value)});
    }
  }

  // Steps and tiles are padded: not where that more than doubles the work, as it does for single channels.
  static bool tensor_steps_pay(const GemmPiece& piece) {
    int64_t work = 0, padded = 0;
    for (const PieceSegment& s : piece.segments) {
      work += s.run.count * piece.columns;
      padded += round_up(s.run.count, kTileDepth) * round_up(piece.columns, kTileWidth);
    }
    return work > 0 && padded <= 2 * work;
  }

  // Weights in bf16, int8 ones times their scales, as the lanes of a warp hold them; a strip of tiles may reach past the last.
  void add_tensor_steps(const GemmPiece& piece, Piece& p) {
    constexpr int64_t kWidestStrip = 8;
    p.steps = static_cast<int32_t>(out_->tensor_steps.size());
    p.padded_tiles = static_cast<int32_t>((piece.columns + kTileWidth - 1) / kTileWidth + kWidestStrip - 1);
    std::vector<uint16_t> packed;
    visit_weights(piece.weights, piece.type, [&](const auto* weights) {
      for (size_t s = 0; s < piece.segments.size(); ++s) {
        const GemmSegment& run = piece.segments[s].run;
        for (int64_t channel = 0; channel < run.count; channel += kTileDepth) {
          const int64_t count = std::min<int64_t>(kTileDepth, run.count - channel);
          out_->tensor_steps.push_back({static_cast<int32_t>(s), static_cast<int32_t>(channel), static_cast<int32_t>(count)});
          const size_t at = packed.size();
          packed.resize(at + static_cast<size_t>(p.padded_tiles * kTileWeights), 0);
          for (int64_t n = 0; n < piece.columns; ++n) {
            const int64_t block = n / kGemmBlock * kGemmBlock, left = piece.columns - block;
            const int64_t width = left < kGemmBlock ? round_up(left, 16) : kGemmBlock;
            for (int64_t k = 0; k < count; ++k) {
              const float w = weights[block * piece.k_rows + (run.weight_row + channel + k) * width + (n - block)];
              packed[at + static_cast<size_t>(n / kTileWidth * kTileWeights + tile_weight(k, n % kTileWidth))] =
                  to_bf16(piece.scales ? w * piece.scales[n] : w);
            }
          }
        }
      }
    });
    p.n_steps = static_cast<int32_t>(out_->tensor_steps.size()) - p.steps;
    p.bytes = static_cast<int64_t>(packed.size() * sizeof(uint16_t));
    p.weights = bytes_of(packed.data(), packed.size() * sizeof(uint16_t));
  }

  void add_gemm(const Node& node, const NodePiece& piece, const Positions& positions) {
    GemmCommand gemm{};
    gemm.piece = piece.index;
    std::vector<int32_t> sources;
    for (const PieceSegment& s : piece.segments) {
      const Source source = s.source();
      for (const int32_t p : positions) sources.push_back(place(source, p));
    }
    gemm.sources = intern(sources);
    gemm.out = own(node.out, piece.column, positions);
    const int32_t columns = out_->pieces[static_cast<size_t>(piece.index)].columns;
    start(Command::Kind::gemm, out_->gemms, gemm, positions, columns);
    for (size_t s = 0; s < piece.segments.size(); ++s) {
      const PieceSegment& segment = piece.segments[s];
      const Access at{gemm.sources + static_cast<int32_t>(s * positions.size()), stride(segment.value),
                      static_cast<int32_t>(segment.channel), is_constant(segment.value)};
      phase_->read(at, static_cast<int32_t>(segment.run.count), false);
    }
    phase_->write(gemm.out);
  }

  // ---- the other kinds

  // A command of its own, with a phase that operations may join.
  template <class T>
  void start(Command::Kind kind, std::vector<T>& list, const T& command, const Positions& positions, int64_t columns) {
    list.push_back(command);
    start(kind, static_cast<int32_t>(list.size()) - 1, positions, columns);
  }
  void start(Command::Kind kind, int32_t index, const Positions& positions, int64_t columns) {
    const auto n = static_cast<int32_t>(positions.size());
    out_->commands.push_back({kind, index, n, static_cast<int32_t>(columns), -1, static_cast<int32_t>(out_->chain.size()), 0});
    const bool joins = kind == Command::Kind::gemm || kind == Command::Kind::map;
    phase_ = joins ? std::make_unique<Phase>(out_->places, n, static_cast<int32_t>(columns)) : nullptr;
  }

  void add_map(const Node& node, ChannelRange range, const Positions& positions) {
    Pointwise op{};
    op.op = static_cast<int32_t>(node.map_op);
    op.operands = static_cast<int32_t>(node.sources.size());
    op.params = floats_of(node.params);
    op.out = own(node.out, range.begin, positions);
    const auto columns = static_cast<int32_t>(range.end - range.begin);
    for (size_t k = 0; k < node.sources.size(); ++k) {
      Source source = node.sources[k];
      if (!source.broadcast) source.channel += range.begin;
      op.in[k] = {access(source, positions), source.broadcast, false};
    }
    bool joins = phase_ && out_->commands.back().columns == columns;
    for (int32_t k = 0; k < op.operands && joins; ++k) joins = phase_->may_read(op.in[k].at, op.in[k].broadcast != 0);
    joins = joins && phase_->may_write(op.out);
    if (!joins) start(Command::Kind::map, -1, positions, columns);
    for (int32_t k = 0; k < op.operands; ++k) op.in[k].previous = joins && !op.in[k].broadcast && phase_->is_last(op.in[k].at);
    for (int32_t k = 0; k < op.operands; ++k) phase_->read(op.in[k].at, op.in[k].broadcast ? 1 : columns, !op.in[k].broadcast);
    phase_->write(op.out);
    out_->chain.push_back(op);
    ++out_->commands.back().n_chain;
  }

  void add_copy(const Node& node, ChannelRange range, const Positions& positions) {
    CopyCommand copy{};
    copy.out = own(node.out, range.begin, positions);
    copy.begin = static_cast<int32_t>(range.begin);
    copy.blocks = static_cast<int32_t>(out_->blocks.size());
    copy.fill = node.params[0];
    for (const Source& block : node.sources) {
      const int64_t begin = std::max(range.begin, block.offset), end = std::min(range.end, block.offset + block.count);
      if (begin >= end) continue;
      Source source = block;
      source.channel += begin - block.offset;
      out_->blocks.push_back({static_cast<int32_t>(begin), static_cast<int32_t>(end), access(source, positions)});
      ++copy.n_blocks;
    }
    start(Command::Kind::copy, out_->copies, copy, positions, range.end - range.begin);
  }

  void add_row(const Node& node, const Positions& positions) {
    RowCommand row{};
    row.op = static_cast<int32_t>(node.row_op);
    row.columns = static_cast<int32_t>(node.sources[0].count);
    row.in = access(node.sources[0], positions);
    row.out = own(node.out, 0, positions);
    row.params = floats_of(node.params);
    row.weight = weight_floats(node.weight);
    row.bias = weight_floats(node.bias);
    start(Command::Kind::row, out_->rows, row, positions, row.columns);
    need_scratch(kRowScratch, kRowScratch * static_cast<int64_t>(positions.size()));
  }

  void add_lookup(const Node& node, const Positions& positions) {
    LookupCommand lookup{};
    lookup.index = access(node.sources[0], positions);
    lookup.out = own(node.out, 0, positions);
    lookup.table = weight_bytes(node.data);
    lookup.scales = weight_floats(node.scales);
    lookup.rows = node.rows;
    lookup.type = static_cast<int32_t>(graph_.weights[static_cast<size_t>(node.data)].type);
    out_->lookup_nodes.push_back(static_cast<int32_t>(&node - graph_.nodes.data()));
    start(Command::Kind::lookup, out_->lookups, lookup, positions, graph_.values[static_cast<size_t>(node.out)].channels);
  }

  void add_attend(const Node& node, const Positions& positions) {
    const Attention& a = node.attention;
    AttendCommand attend{};
    attend.q = access(node.sources[0], positions);
    attend.out = own(node.out, 0, positions);
    attend.k = keys(node, 1);
    attend.v = keys(node, 2);
    attend.heads = static_cast<int32_t>(a.heads);
    attend.kv_heads = static_cast<int32_t>(a.kv_heads);
    attend.dim = static_cast<int32_t>(a.dim);
    attend.dim_v = static_cast<int32_t>(a.dim_v);
    attend.keys = static_cast<int32_t>(a.keys);
    attend.q_step = static_cast<int32_t>(node.sources[0].offset);
    attend.k_step = static_cast<int32_t>(node.sources[1].offset);
    attend.v_step = static_cast<int32_t>(node.sources[2].offset);
    attend.scale = a.scale;
    attend.bias = weight_floats(node.bias);
    attend.bias_step = graph_.values[static_cast<size_t>(node.out)].positions * a.keys;
    attend.listed = a.bitmap != kDirect;
    std::vector<int32_t> seen;
    int64_t most = 1;
    for (const int32_t p : positions) {
      if (a.bitmap == kDirect) {
        const int32_t begin = graph_.tables[static_cast<size_t>(a.begin)][static_cast<size_t>(p)];
        const int32_t end = graph_.tables[static_cast<size_t>(a.end)][static_cast<size_t>(p)];
        seen.insert(seen.end(), {begin, end - begin});
      } else {
        const std::vector<int32_t> list = listed_keys(a, p);
        seen.insert(seen.end(), {intern(list), static_cast<int32_t>(list.size())});
      }
      most = std::max<int64_t>(most, seen.back());
    }
    attend.seen = intern(seen);
    attend.position_of_bias = intern(positions);
    start(Command::Kind::attend, out_->attends, attend, positions, a.heads * a.dim_v);
    const int64_t each = attend_scratch(a.heads, most);
    need_scratch(each, each * static_cast<int64_t>(positions.size()));
  }

  Access keys(const Node& node, int source) {
    std::vector<int32_t>& list = key_places_[{&node, source}];
    const Source& from = node.sources[static_cast<size_t>(source)];
    if (list.empty())
      for (int64_t j = 0; j < node.attention.keys; ++j) list.push_back(place(from, j));
    return {intern(list), stride(from.value), static_cast<int32_t>(from.channel), is_constant(from.value)};
  }

  std::vector<int32_t> listed_keys(const Attention& a, int64_t p) const {
    std::vector<int32_t> list;
    const int32_t* words = graph_.tables[static_cast<size_t>(a.bitmap)].data() + p * a.words();
    for (int64_t w = 0; w < a.words(); ++w)
      for (uint32_t bits = static_cast<uint32_t>(words[w]); bits; bits &= bits - 1)
        list.push_back(static_cast<int32_t>(32 * w + __builtin_ctz(bits)));
    return list;
  }

  // In whole sixteen bytes, as the scratch of a block starts behind that of the block before it.
  void need_scratch(int64_t least, int64_t useful) {
    out_->scratch_floats = std::max(out_->scratch_floats, round_up(least, 4));
    out_->wanted_scratch = std::max(out_->wanted_scratch, round_up(useful, 4));
  }

  // ---- steps

  void add_step(const Step& step) {
    StepCommands commands{static_cast<int32_t>(out_->commands.size()), 0, static_cast<int32_t>(out_->sites.size()), 0};
    for (const Group& group : step.groups) {
      phase_.reset();
      for (const Task& task : group.tasks) add_task(task, group.positions);
    }
    phase_.reset();
    for (const int32_t site : step.sites) add_site(site);
    if (graph_.head.kind == HeadKind::logistic_mixture) join_channels(static_cast<size_t>(commands.sites));
    commands.n_commands = static_cast<int32_t>(out_->commands.size()) - commands.commands;
    commands.n_sites = static_cast<int32_t>(out_->sites.size()) - commands.sites;
    if (commands.n_commands + commands.n_sites > kStatePlace) too_large("commands in one step");
    out_->steps.push_back(commands);
  }

  void add_task(const Task& task, const Positions& positions) {
    const auto node_index = static_cast<size_t>(task.node);
    const Node& node = graph_.nodes[node_index];
    const PlanClass& cls = plan_.classes[node_index][static_cast<size_t>(task.cls)];
    switch (node.kind) {
      case NodeKind::constant:
        break;
      case NodeKind::gemm:
        for (const NodePiece& piece : pieces_[node_index][static_cast<size_t>(task.cls)]) add_gemm(node, piece, positions);
        break;
      case NodeKind::map:
        for (const ChannelRange& range : cls.channels) add_map(node, range, positions);
        break;
      case NodeKind::copy:
        for (const ChannelRange& range : cls.channels) add_copy(node, range, positions);
        break;
      case NodeKind::row:
        add_row(node, positions);
        break;
      case NodeKind::lookup:
        add_lookup(node, positions);
        break;
      case NodeKind::attend:
        add_attend(node, positions);
        break;
    }
  }

  void add_site(int32_t site) {
    const int64_t at = graph_.head_position(site), positions = graph_.positions();
    const int32_t input = own_place(0, site % positions);
    const bool again = !listed_.insert(site).second;
    out_->sites.push_back({site, at < 0 ? kNoDistribution : own_place(graph_.head.value, at), input < 0 ? -1 : input, again, -1});
  }

  // The first site of each position, from site `begin` of the program on, speaks for all of the position's.
  void join_channels(size_t begin) {
    const int64_t positions = graph_.positions(), channels = graph_.channels();
    std::unordered_map<int64_t, std::vector<int32_t>> drawn;  // [position][channel]
    for (size_t i = begin; i < out_->sites.size(); ++i) {
      std::vector<int32_t>& of = drawn[out_->sites[i].site % positions];
      of.resize(static_cast<size_t>(channels));
      of[static_cast<size_t>(out_->sites[i].site / positions)] = 1;
    }
    for (size_t i = begin; i < out_->sites.size(); ++i) {
      std::vector<int32_t>& of = drawn[out_->sites[i].site % positions];
      if (of.empty()) continue;
      out_->sites[i].channels = intern(of);
      of.clear();
    }
  }

  // ---- the rest

  void add_head() {
    const Head& head = graph_.head;
    HeadInfo& h = out_->program.head;
    h.kind = head.kind;
    h.stride = stride(head.value);
    h.constant = is_constant(head.value);
    h.channel = static_cast<int32_t>(head.channel);
    h.input_stride = static_cast<int32_t>(plan_.stride[0]);
    h.levels = static_cast<int32_t>(head.levels);
    h.bos = static_cast<int32_t>(graph_.bos);
    h.probs = head.probs;
    h.by_position = head.by_position();
    h.values = head.has_levels() ? weight_floats(head.values) : -1;
    h.outputs = static_cast<int32_t>(head_channels(head, graph_.channels()));
    h.components = static_cast<int32_t>(head.components);
    h.coupled = head.coupled;
    h.low = static_cast<double>(head.low);
    h.step = head.levels > 1 ? (static_cast<double>(head.high) - h.low) / static_cast<double>(head.levels - 1) : 0.0;
    h.family = head.family;
    h.mixture_logits = static_cast<int32_t>(head.mixture_logits);
    h.n_params = static_cast<int32_t>(head.params.size());
    for (size_t j = 0; j < head.params.size(); ++j) h.params[j] = head.params[j];
    size_t most = static_cast<size_t>(out_->program.n_known);
    for (const StepCommands& step : out_->steps) most = std::max(most, static_cast<size_t>(step.n_sites));
    const int64_t each = head_scratch(h);
    need_scratch(each, each * static_cast<int64_t>(most));
  }

  void add_conditions() {
    for (const Condition& condition : graph_.conditions) {
      const Value& value = graph_.values[static_cast<size_t>(condition.value)];
      out_->conditions.push_back({all_places(condition.value), static_cast<int32_t>(value.positions),
                                  static_cast<int32_t>(value.channels), stride(condition.value), out_->program.condition_floats,
                                  condition.integer, condition.size});
      out_->program.condition_floats += static_cast<int32_t>(value.positions * value.channels);
    }
    out_->program.n_conditions = static_cast<int32_t>(out_->conditions.size());
  }

  void add_states() {
    Program& program = out_->program;
    if (graph_.iteration.jitter > 0) {
      program.grid_height = static_cast<int32_t>(graph_.input_shape[graph_.input_shape.size() - 2]);
      program.grid_width = static_cast<int32_t>(graph_.input_shape.back());
    }
    for (const State& state : graph_.iteration.states) {
      const Value& value = graph_.values[static_cast<size_t>(state.value)];
      const int64_t grid = int64_t{program.grid_height} * program.grid_width;
      out_->states.push_back({all_places(state.value), all_places(state.next), static_cast<int32_t>(value.positions),
                              static_cast<int32_t>(value.channels), stride(state.value), stride(state.next),
                              is_constant(state.next), grid > 0 && value.positions == grid, state.initial});
      program.row_state_floats += value.positions * value.channels;
    }
    program.n_states = static_cast<int32_t>(out_->states.size());
    need_scratch(program.row_state_floats, program.row_state_floats);
  }

  void add_output() {
    const int value = graph_.output.value;
    const Value& v = graph_.values[static_cast<size_t>(value)];
    out_->program.output = {all_places(value), static_cast<int32_t>(v.positions), static_cast<int32_t>(v.channels), stride(value),
                            is_constant(value)};
  }

  void check_limits() const {
    if (out_->data.size() / 4 > INT32_MAX) too_large("GiB of weights");
    if (out_->steps.size() >= static_cast<size_t>(kOutputStep)) too_large("steps");
  }

  [[noreturn]] static void too_large(const std::string& what) {
    throw UnsupportedOpError("this model has too many " + what + " for a CUDA device program; run it on the CPU");
  }

  const Graph& graph_;
  const Plan& plan_;
  const Precision precision_;
  std::unique_ptr<ProgramArrays> out_;
  std::vector<int64_t> constants_;            // [value] floats of the data, or -1
  std::unordered_map<int, int64_t> weights_;  // bytes of the data
  std::unordered_map<std::vector<int32_t>, int32_t, VectorHash> interned_;
  std::map<std::pair<const Node*, int>, std::vector<int32_t>> key_places_;
  std::vector<std::vector<std::vector<NodePiece>>> pieces_;  // [node][class]
  std::unordered_set<int32_t> listed_;                       // sites
  std::unique_ptr<Phase> phase_;                             // of the last command, where something may join it
  int64_t longest_segment_ = 1;
};

}  // namespace

std::unique_ptr<ProgramArrays> compile_program(const Graph& graph, const Plan& plan, Precision precision) {
  return Compiler(graph, plan, precision).run();
}

}  // namespace cuda
}  // namespace genfast
