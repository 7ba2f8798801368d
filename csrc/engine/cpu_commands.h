// The kernel calls of one step of a plan, with every pointer resolved against a decoder's arena. Made by cpu_binding.cc, run by
// cpu_decoder.cc as often as there are tiles. Nothing here owns memory but the step's pool.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "kernels/kernels.h"

namespace genfast {

// Arrays that live and die together. A step has a hundred small ones: one allocation each would cost more than filling them.
class Pool {
 public:
  template <class T>
  T* array(size_t n) {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 8, "plain data only");
    const size_t bytes = (n * sizeof(T) + 7) / 8 * 8;
    if (chunks_.empty() || used_ + bytes > size_) grow(bytes);
    used_ += bytes;
    return reinterpret_cast<T*>(chunks_.back().get() + used_ - bytes);
  }
  size_t bytes() const { return total_; }

 private:
  void grow(size_t bytes) {
    size_ = std::max(std::max<size_t>(2048, total_), bytes);
    chunks_.emplace_back(new char[size_]);
    total_ += size_;
    used_ = 0;
  }
  std::vector<std::unique_ptr<char[]>> chunks_;
  size_t size_ = 0, used_ = 0, total_ = 0;
};

struct GemmCommand {
  GemmArgs args;  // all but group_rows, m_begin and m_end
};

// One pointwise, row, lookup or copy call at each position. Pointers are [position] or [operand][position].
struct PositionCommand {
  enum class Kind : uint8_t { map, row, lookup } kind = Kind::map;
  uint8_t operands = 1;
  MapOp map_op = MapOp::identity;
  RowOp row_op = RowOp::sum;
  bool operand_broadcast[3] = {false, false, false};
  int64_t operand_stride[3] = {0, 0, 0};  // floats between rows
  const float* const* in[3] = {nullptr, nullptr, nullptr};
  float* const* out = nullptr;  // null entries: this command skips the position
  int64_t out_stride = 0, columns = 0;
  const float* params = nullptr;
  const float *weight = nullptr, *bias = nullptr;  // row
  LookupTable table{};                             // lookup
  const int32_t* run = nullptr;                    // run[i]: positions i, i + 1, … that one call covers when the tile is full
  int node = 0;
};

// The blocks of a copy that fill few of the positions each: what each position gets, one piece after another.
struct GatherCommand {
  struct Piece {
    const float* in;  // row 0
    float* out;
    int64_t in_stride, columns;
  };
  const Piece* pieces = nullptr;
  const int32_t* first = nullptr;  // [positions + 1] of the pieces
  int64_t out_stride = 0;
};

// Attention at each position.
struct AttendCommand {
  AttendArgs args;  // what all positions share: all but out, q, the keys seen, bias, scratch and rows
  const float* const* q = nullptr;
  float* const* out = nullptr;
  const int32_t* positions = nullptr;
  int node = 0;
};

struct Command {
  enum class Kind : uint8_t { gemm, call, gather, attend } kind;
  int32_t index;  // into the step's vector of that kind
};

// Positions of a group and what is done to them, one command after another.
struct CommandPart {
  int32_t begin, end;  // of the step's commands
  int64_t positions;
};

// A group of the plan: its rows, of all parts, may be taken in any order and on any threads.
struct CommandGroup {
  int32_t begin, end;  // of the step's parts
  int64_t work;        // multiply-adds of one row of the tile, about
  int64_t block_rows;  // rows that pass through all its commands before the next ones, about
  bool attends;
};

struct SiteCommand {
  int32_t site;
  const float* logits;  // row 0, or null where the site has no distribution
  float* input;         // row 0 of the site's value, or null when nothing reads it
};

struct StepCommands {
  std::vector<CommandGroup> groups;
  std::vector<CommandPart> parts;
  std::vector<Command> commands;
  std::vector<GemmCommand> gemms;
  std::vector<PositionCommand> calls;
  std::vector<GatherCommand> gathers;
  std::vector<AttendCommand> attends;
  std::vector<SiteCommand> sites;
  Pool pool;

  size_t bytes() const {
    return pool.bytes() + groups.capacity() * sizeof(CommandGroup) + parts.capacity() * sizeof(CommandPart) +
           commands.capacity() * sizeof(Command) + gemms.capacity() * sizeof(GemmCommand) +
           calls.capacity() * sizeof(PositionCommand) + gathers.capacity() * sizeof(GatherCommand) +
           attends.capacity() * sizeof(AttendCommand) + sites.capacity() * sizeof(SiteCommand);
  }
};

}  // namespace genfast
