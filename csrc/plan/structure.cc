#include "plan/structure.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <tuple>

#include "base/errors.h"
#include "graph/limits.h"

namespace genfast {
namespace {

constexpr int64_t kMaxDeps = int64_t{1} << 26;

// A read while the rows are not numbered yet: class `cls` of a value.
struct Read {
  int value, cls, table;
  bool keyed;  // of an attend's k or v: at every visible key
};

auto key(const Read& r) { return std::tie(r.value, r.cls, r.table, r.keyed); }

struct Less {
  bool operator()(const Read& a, const Read& b) const { return key(a) < key(b); }
};

using Signature = std::vector<Read>;

void normalise(Signature& reads) {
  std::sort(reads.begin(), reads.end(), Less());
  reads.erase(std::unique(reads.begin(), reads.end(), [](const Read& a, const Read& b) { return key(a) == key(b); }), reads.end());
}

struct LessSignature {
  bool operator()(const Signature& a, const Signature& b) const {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), Less());
  }
};

struct NodeClass {
  PlanClass channels;
  Signature reads;
  int64_t work = 0;
};

void add_channel(PlanClass& cls, int64_t c) {
  if (!cls.channels.empty() && cls.channels.back().end == c) {
    ++cls.channels.back().end;
  } else {
    cls.channels.push_back({c, c + 1});
  }
}

class Analysis {
 public:
  explicit Analysis(const Graph& graph)
      : graph_(graph), classes_(graph.nodes.size()), count_(graph.values.size(), 1), channel_class_(graph.values.size()) {}

  Structure run() {
    if (graph_.channels() > 1 && !graph_.sites_together()) {
      count_[0] = static_cast<int>(graph_.channels());
      channel_class_[0].resize(graph_.channels());
      std::iota(channel_class_[0].begin(), channel_class_[0].end(), 0);
    }
    order_components();
    for (const std::vector<int>& component : components_) {
      // Inside a loop the classes of what is read are not known before: start with one each and split until nothing changes.
      for (bool changed = true; changed;) {
        changed = false;
        for (int node : component) {
          const int before = count_[graph_.nodes[node].out];
          classify(node);
          changed = changed || count_[graph_.nodes[node].out] != before;
        }
        changed = changed && graph_.loop[component[0]] >= 0;
      }
    }
    return number_rows();
  }

 private:
  // A node or a whole loop at a time, after what it reads: depth first, with a stack of its own.
  void order_components() {
    std::vector<std::vector<int>> members;  // of loops
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      if (graph_.loop[i] >= 0) {
        members.resize(std::max<size_t>(members.size(), graph_.loop[i] + 1));
        members[graph_.loop[i]].push_back(static_cast<int>(i));
      }
    auto component_of = [&](int node) { return graph_.loop[node] < 0 ? std::vector<int>{node} : members[graph_.loop[node]]; };
    struct Frame {
      std::vector<int> nodes;
      size_t node, source;
    };
    std::vector<bool> met(graph_.nodes.size(), false);
    std::vector<Frame> stack;
    auto open = [&](int node) {
      if (met[node]) return;
      stack.push_back({component_of(node), 0, 0});
      for (int member : stack.back().nodes) met[member] = true;
    };
    for (size_t root = 0; root < graph_.nodes.size(); ++root) {
      open(static_cast<int>(root));
      while (!stack.empty()) {
        Frame& top = stack.back();
        if (top.node == top.nodes.size()) {
          components_.push_back(std::move(top.nodes));
          stack.pop_back();
          continue;
        }
        const std::vector<Source>& sources = graph_.nodes[top.nodes[top.node]].sources;
        if (top.source == sources.size()) {
          ++top.node;
          top.source = 0;
        } else if (const int from = graph_.values[sources[top.source++].value].producer; from >= 0) {
          open(from);
        }
      }
    }
  }

  int class_of(int value, int64_t channel) const { return channel_class_[value].empty() ? 0 : channel_class_[value][channel]; }

  // The classes that channels [begin, begin + count) of a value belong to.
  std::vector<int> classes_in(int value, int64_t begin, int64_t count) const {
    if (channel_class_[value].empty()) return {0};
    std::vector<int> found(channel_class_[value].begin() + begin, channel_class_[value].begin() + begin + count);
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
  }

  void classify(int index) {
    count_reads(index, -1);
    find_classes(index);
    count_reads(index, 1);
    if (deps_ > kMaxDeps || reads_ > kMaxReads)
      throw UnsupportedOpError("layer " + graph_.nodes[index].name +
                               ": its channels and those before it depend on too many others to be planned one by one");
  }

  // A small file can ask for many: channels that are drawn apart are read apart.
  void count_reads(int index, int64_t sign) {
    const Node& node = graph_.nodes[index];
    const int64_t positions = std::max(graph_.values[node.out].positions, node.attention.keys);
    for (const NodeClass& cls : classes_[index]) {
      deps_ += sign * static_cast<int64_t>(cls.reads.size());
      reads_ += sign * static_cast<int64_t>(cls.reads.size()) * positions;
    }
  }

  void find_classes(int index) {
    const Node& node = graph_.nodes[index];
    switch (node.kind) {
      case NodeKind::constant:
      case NodeKind::lookup:
      case NodeKind::row:
        one_class(index);
        break;
      case NodeKind::attend:
        one_class(index);
        classes_[index][0].work = node.attention.heads * (node.attention.dim + node.attention.dim_v);
        break;
      case NodeKind::map:
        graph_.sites_together() ? one_class(index) : map_classes(index);
        break;
      case NodeKind::copy:
        graph_.sites_together() ? one_class(index) : copy_classes(index);
        break;
      case NodeKind::gemm:
        gemm_classes(index);
        break;
    }
    count_[node.out] = static_cast<int>(classes_[index].size());
  }

  void one_class(int index) {
    const Node& node = graph_.nodes[index];
    NodeClass all{{{{0, graph_.values[node.out].channels}}}, {}};
    for (size_t i = 0; i < node.sources.size(); ++i) {
      const Source& source = node.sources[i];
      for (int cls : classes_in(source.value, source.channel, source.count))
        all.reads.push_back({source.value, cls, source.table, node.kind == NodeKind::attend && i > 0});
    }
    normalise(all.reads);
    classes_[index] = {std::move(all)};
    channel_class_[node.out].clear();
  }

  // Channels with the same signature form a class; classes are numbered by their first channel.
  void group_channels(int index, std::vector<Signature>& signatures) {
    std::vector<NodeClass> classes;
    std::map<Signature, int32_t, LessSignature> known;
    std::vector<int32_t>& channel_class = channel_class_[graph_.nodes[index].out];
    channel_class.resize(signatures.size());
    for (size_t c = 0; c < signatures.size(); ++c) {
      normalise(signatures[c]);
      auto [it, fresh] = known.emplace(signatures[c], static_cast<int32_t>(classes.size()));
      if (fresh) classes.push_back({{}, std::move(signatures[c])});
      channel_class[c] = it->second;
      add_channel(classes[it->second].channels, static_cast<int64_t>(c));
    }
    if (classes.size() == 1) channel_class.clear();
    classes_[index] = std::move(classes);
  }

  void map_classes(int index) {
    const Node& node = graph_.nodes[index];
    if (std::all_of(node.sources.begin(), node.sources.end(), [&](const Source& source) { return count_[source.value] == 1; }))
      return one_class(index);
    std::vector<Signature> signatures(graph_.values[node.out].channels);
    for (int64_t c = 0; c < static_cast<int64_t>(signatures.size()); ++c)
      for (const Source& source : node.sources)
        signatures[c].push_back(
            {source.value, class_of(source.value, source.channel + (source.broadcast ? 0 : c)), source.table, false});
    group_channels(index, signatures);
  }

  void copy_classes(int index) {
    std::vector<Signature> signatures(graph_.values[graph_.nodes[index].out].channels);
    for (const Source& block : graph_.nodes[index].sources)
      for (int64_t j = 0; j < block.count; ++j)
        signatures[block.offset + j].push_back({block.value, class_of(block.value, block.channel + j), block.table, false});
    group_channels(index, signatures);
  }

  void gemm_classes(int index) {
    const Node& node = graph_.nodes[index];
    const int64_t columns = graph_.values[node.out].channels;
    int64_t k_rows = 0;
    for (const Source& segment : node.sources) k_rows += segment.count;

    Signature reads;             // each (value, class, table) once
    std::vector<int64_t> depth;  // [read] rows of K
    std::map<Read, size_t, Less> read_of;
    std::vector<size_t> read_of_row;
    for (const Source& segment : node.sources)
      for (int64_t j = 0; j < segment.count; ++j) {
        const Read read{segment.value, class_of(segment.value, segment.channel + j), segment.table, false};
        if (j == 0 || count_[segment.value] > 1) {
          auto [it, fresh] = read_of.emplace(read, reads.size());
          if (fresh) {
            reads.push_back(read);
            depth.push_back(0);
          }
          read_of_row.push_back(it->second);
        } else {
          read_of_row.push_back(read_of_row.back());
        }
        ++depth[read_of_row.back()];
      }

    // What is still zero of each (read, block of columns): dense weights are settled by their first rows.
    std::vector<std::string> nonzero(reads.size(), std::string(columns, 0));
    const int64_t blocks = (columns + 63) / 64;
    std::vector<int32_t> zeros(reads.size() * blocks);
    for (size_t i = 0; i < zeros.size(); ++i)
      zeros[i] = static_cast<int32_t>(std::min<int64_t>(64, columns - static_cast<int64_t>(i) % blocks * 64));
    int64_t left = static_cast<int64_t>(reads.size()) * columns;
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t used = std::min<int64_t>(64, columns - b * 64), width = (used + 15) / 16 * 16;
      visit_weights(graph_.weights[node.data].bytes, graph_.weights[node.data].type, [&](const auto* data) {
        const auto* block = data + b * 64 * k_rows;
        for (int64_t k = 0; k < k_rows; ++k) {
          int32_t& missing = zeros[read_of_row[k] * blocks + b];
          if (!missing) continue;
          char* flags = nonzero[read_of_row[k]].data() + b * 64;
          for (int64_t n = 0; n < used; ++n) {
            if (flags[n] || block[k * width + n] == 0.0f) continue;
            flags[n] = 1;
            --missing;
            --left;
          }
        }
      });
    }
    if (!left) {
      classes_[index] = {{{{{0, columns}}}, reads, columns * k_rows}};
      normalise(classes_[index][0].reads);
      channel_class_[node.out].clear();
      return;
    }
    std::vector<NodeClass> classes;
    std::map<std::string, int32_t> known;
    std::vector<int32_t>& channel_class = channel_class_[node.out];
    channel_class.resize(columns);
    std::string pattern(reads.size(), 0);
    for (int64_t n = 0; n < columns; ++n) {
      for (size_t r = 0; r < reads.size(); ++r) pattern[r] = nonzero[r][n];
      auto [it, fresh] = known.emplace(pattern, static_cast<int32_t>(classes.size()));
      if (fresh) {
        classes.emplace_back();
        for (size_t r = 0; r < reads.size(); ++r)
          if (pattern[r]) classes.back().reads.push_back(reads[r]);
        normalise(classes.back().reads);
      }
      channel_class[n] = it->second;
      NodeClass& cls = classes[it->second];
      add_channel(cls.channels, n);
      for (size_t r = 0; r < reads.size(); ++r)
        if (pattern[r]) cls.work += depth[r];
    }
    if (classes.size() == 1) channel_class.clear();
    classes_[index] = std::move(classes);
  }

  Structure number_rows() {
    Structure s;
    for (size_t v = 0; v < graph_.values.size(); ++v) {
      s.first_row.push_back(static_cast<int>(s.rows.size()));
      for (int cls = 0; cls < count_[v]; ++cls) {
        Row row;
        row.value = static_cast<int>(v);
        row.node = graph_.values[v].producer;
        row.cls = cls;
        row.positions = graph_.values[v].positions;
        s.rows.push_back(std::move(row));
      }
    }
    s.first_row.push_back(static_cast<int>(s.rows.size()));
    s.classes.resize(graph_.nodes.size());
    for (const std::vector<int>& component : components_) {
      const bool loop = graph_.loop[component[0]] >= 0;
      const int begin = static_cast<int>(s.sequence.size());
      for (int node : component) {
        for (const NodeClass& cls : classes_[node]) s.classes[node].push_back(cls.channels);
        add_rows(s, node);
      }
      const int end = static_cast<int>(s.sequence.size());
      if (loop)
        s.stages.push_back({begin, end, true});
      else
        for (int i = begin; i < end; ++i) s.stages.push_back({i, i + 1, false});
    }
    const Head& head = graph_.head;
    if (head.kind == HeadKind::none) return s;
    for (int cls : classes_in(head.value, head.channel, head_channels(head, graph_.channels())))
      s.head.push_back(s.first_row[head.value] + cls);
    return s;
  }

  void add_rows(Structure& s, int index) {
    const int out = graph_.nodes[index].out;
    Row keys;
    for (size_t cls = 0; cls < classes_[index].size(); ++cls) {
      Row& row = s.rows[s.first_row[out] + static_cast<int>(cls)];
      row.work = classes_[index][cls].work;
      for (const Read& read : classes_[index][cls].reads) {
        const bool first = read.table == kDirect && !read.keyed && graph_.values[read.value].positions == 1;
        const Dep dep{s.first_row[read.value] + read.cls, first ? kFirst : read.table};
        (read.keyed ? keys : row).deps.push_back(dep);
      }
    }
    if (graph_.nodes[index].kind == NodeKind::attend) {
      keys.value = out;
      keys.node = index;
      keys.cls = -1;
      keys.positions = graph_.nodes[index].attention.keys;
      s.rows[s.first_row[out]].keys = static_cast<int>(s.rows.size());
      s.sequence.push_back(static_cast<int>(s.rows.size()));
      s.rows.push_back(std::move(keys));
    }
    for (size_t cls = 0; cls < classes_[index].size(); ++cls) s.sequence.push_back(s.first_row[out] + static_cast<int>(cls));
  }

  const Graph& graph_;
  std::vector<std::vector<int>> components_;
  std::vector<std::vector<NodeClass>> classes_;      // [node]
  std::vector<int> count_;                           // [value] its classes
  std::vector<std::vector<int32_t>> channel_class_;  // [value][channel]; empty when the value has one class
  int64_t deps_ = 0, reads_ = 0;                     // of all classes; at all their positions
};

}  // namespace

Structure analyse(const Graph& graph) { return Analysis(graph).run(); }

}  // namespace genfast
