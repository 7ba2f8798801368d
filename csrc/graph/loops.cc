#include "graph/loops.h"

#include <algorithm>
#include <string>

#include "graph/json.h"

namespace genfast {
namespace {

std::string label(const Graph& graph, size_t node) {
  return "node " + std::to_string(node) + " " + in_quotes(graph.nodes[node].name);
}

// Strongly connected components by Tarjan's algorithm (SIAM J. Comput. 1, 1972), with a stack of its own: graphs may be deep.
class Components {
 public:
  explicit Components(const Graph& graph)
      : graph_(graph), index_(graph.nodes.size(), -1), low_(graph.nodes.size(), 0), on_stack_(graph.nodes.size(), false) {}

  std::vector<int32_t> run() {
    std::vector<int32_t> loop(graph_.nodes.size(), -1);
    int32_t loops = 0;
    for (size_t root = 0; root < graph_.nodes.size(); ++root) {
      if (index_[root] >= 0) continue;
      open(static_cast<int>(root));
      while (!frames_.empty()) {
        Frame& top = frames_.back();
        const std::vector<Source>& sources = graph_.nodes[top.node].sources;
        if (top.source < sources.size()) {
          const int from = graph_.values[sources[top.source++].value].producer;
          if (from < 0) continue;
          if (index_[from] < 0)
            open(from);
          else if (on_stack_[from])
            low_[top.node] = std::min(low_[top.node], index_[from]);
          continue;
        }
        const int node = top.node;
        frames_.pop_back();
        if (!frames_.empty()) low_[frames_.back().node] = std::min(low_[frames_.back().node], low_[node]);
        if (low_[node] != index_[node]) continue;
        const bool many = stack_.back() != node;
        int member;
        do {
          member = stack_.back();
          stack_.pop_back();
          on_stack_[member] = false;
          if (many || reads_itself(member)) loop[member] = loops;
        } while (member != node);
        loops += loop[node] >= 0;
      }
    }
    return loop;
  }

 private:
  struct Frame {
    int node;
    size_t source;
  };

  void open(int node) {
    index_[node] = low_[node] = next_++;
    stack_.push_back(node);
    on_stack_[node] = true;
    frames_.push_back({node, 0});
  }

  bool reads_itself(int node) const {
    return std::any_of(graph_.nodes[node].sources.begin(), graph_.nodes[node].sources.end(),
                       [&](const Source& source) { return source.value == graph_.nodes[node].out; });
  }

  const Graph& graph_;
  std::vector<int32_t> index_, low_;
  std::vector<bool> on_stack_;
  std::vector<int> stack_;
  std::vector<Frame> frames_;
  int32_t next_ = 0;
};

void check_read(const Graph& graph, size_t node, const Source& source, bool delayed) {
  const int64_t positions = graph.values[graph.nodes[node].out].positions;
  if (graph.values[source.value].positions != positions)
    throw FormatError("reads value " + std::to_string(source.value) + " of its own loop, which has another number of positions");
  for (int64_t p = 0; p < positions; ++p) {
    const int64_t q = source_position(graph, source, p);
    if (q >= p + (delayed ? 0 : 1))
      throw FormatError("position " + std::to_string(p) + " reads position " + std::to_string(q) + " of value " +
                        std::to_string(source.value) + ", which its loop computes later");
  }
}

}  // namespace

void find_loops(Graph& graph) {
  bool any = false;
  for (size_t i = 0; i < graph.nodes.size() && !any; ++i)
    for (const Source& source : graph.nodes[i].sources) any = any || graph.values[source.value].producer >= static_cast<int>(i);
  graph.loop.assign(graph.nodes.size(), -1);
  if (!any) return;
  graph.loop = Components(graph).run();
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const Source& source : graph.nodes[i].sources) {
      const int from = graph.values[source.value].producer;
      if (from < 0 || graph.loop[i] < 0 || graph.loop[from] != graph.loop[i]) continue;
      within([&] { return label(graph, i); },
             [&] {
               if (graph.nodes[i].kind == NodeKind::attend) throw FormatError("an attend node cannot be part of a loop");
               check_read(graph, i, source, from >= static_cast<int>(i));
             });
    }
}

void check_visible(const Graph& graph) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.kind != NodeKind::attend) continue;
    const Attention& a = node.attention;
    const int64_t positions = graph.values[node.out].positions;
    within([&] { return label(graph, i); },
           [&] {
             if (a.bitmap != kDirect) {
               const uint32_t beyond = a.keys % 32 ? ~uint32_t{0} << (a.keys % 32) : 0;
               for (int64_t p = 0; p < positions; ++p)
                 if (static_cast<uint32_t>(graph.tables[a.bitmap][(p + 1) * a.words() - 1]) & beyond)
                   throw FormatError("the bitmap of position " + std::to_string(p) + " has bits beyond the keys");
               return;
             }
             for (int64_t p = 0; p < positions; ++p) {
               const int32_t begin = graph.tables[a.begin][p], end = graph.tables[a.end][p];
               if (begin < 0 || begin > end || end > a.keys)
                 throw FormatError("position " + std::to_string(p) + " sees the keys " + std::to_string(begin) + " to " +
                                   std::to_string(end) + " of " + std::to_string(a.keys));
             }
           });
  }
}

}  // namespace genfast
