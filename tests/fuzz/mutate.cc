// Makes N deterministic mutations of a .genfast file and reads each: whatever the bytes, read_graph must return a valid Graph or
// throw FormatError, and never crash, hang, leak or trip a sanitizer. What it accepts goes to exercise.h. Half of the mutations are
// sealed again with a correct header length and checksum, so that hostile files are covered and not only damaged ones; damage
// outside the weights must always be noticed.
//   J=$(python -c "import nlohmann_json as j; print(j.__path__[0])")/include
//   SAN="-fsanitize=address,undefined -fno-sanitize-recover=all"
//   g++ -std=c++17 -O1 -g $SAN -Icsrc -I$J tests/fuzz/mutate.cc csrc/graph/*.cc -o /tmp/mutate && /tmp/mutate FILE COUNT [FIRST]
// With -DRUN it samples what is accepted, and needs the rest of the library:
//   ALL=$(find csrc -name '*.cc' -not -path '*/bindings/*')
//   g++ -std=c++17 -O1 -g $SAN -ffp-contract=off -pthread -DRUN -Icsrc -Icsrc/include -I$J tests/fuzz/mutate.cc $ALL -o /tmp/mutate
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/crc32.h"
#include "base/errors.h"
#include "exercise.h"
#include "graph/reader.h"
#include "json_mutator.h"

extern "C" void __sanitizer_set_death_callback(void (*)()) __attribute__((weak));

namespace {

using fuzz::Random;

constexpr unsigned kSeconds = 20;  // for one mutation
constexpr size_t kLine = 64;
volatile unsigned long long current = 0;

void report() { std::fprintf(stderr, "mutate: died in mutation %llu\n", current); }

[[noreturn]] void broken(const std::string& what) {
  std::fprintf(stderr, "mutate: mutation %llu: %s\n", current, what.c_str());
  std::_Exit(1);
}

void timed_out(int) {
  report();
  std::_Exit(2);
}

void expect(bool condition, const char* what) {
  if (!condition) broken(what);
}

// A file in pieces.
struct Parts {
  std::string header, graph, tables;
  std::vector<std::string> weights;
};

size_t padding(size_t size) { return (kLine - size % kLine) % kLine; }

std::string length_of(const std::string& header) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length);
}

Parts split(const std::string& file) {
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  Parts parts;
  parts.header = file.substr(8, length);
  const auto json = nlohmann::json::parse(parts.header);
  const auto tensor = [&](const std::string& name) {
    const size_t begin = json.at(name).at("data_offsets").at(0), end = json.at(name).at("data_offsets").at(1);
    return file.substr(8 + length + begin, end - begin);
  };
  parts.graph = tensor("graph");
  parts.graph.erase(parts.graph.find_last_not_of(' ') + 1);
  parts.tables = tensor("tables");
  for (size_t i = 0; json.contains("weights." + std::to_string(i)); ++i)
    parts.weights.push_back(tensor("weights." + std::to_string(i)));
  return parts;
}

// Puts a header of any text before a body, with a correct length, and a checksum of what this header calls graph and tables.
std::string seal(std::string header, std::string body) {
  header.append(padding(8 + header.size()), ' ');
  header = length_of(header) + header;
  uint32_t crc = genfast::crc32(header.data(), header.size());
  const auto json = nlohmann::json::parse(header.begin() + 8, header.end(), nullptr, false);
  for (const char* name : {"graph", "tables"}) {
    const auto offsets = nlohmann::json::json_pointer(std::string("/") + name + "/data_offsets");
    if (!json.is_object() || !json.contains(offsets)) continue;
    const auto& pair = json.at(offsets);
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_unsigned() || !pair[1].is_number_unsigned()) continue;
    const uint64_t begin = pair[0], end = pair[1];
    if (begin <= end && end <= body.size()) crc = genfast::crc32(body.data() + begin, end - begin, crc);
  }
  if (body.size() >= kLine) std::memcpy(&body[body.size() - kLine], &crc, sizeof crc);
  return header + body;
}

std::string body_of(Parts parts, nlohmann::ordered_json* header) {
  *header = {{"__metadata__", {{"format", "genfast"}, {"version", "1"}}}};
  std::string body;
  const auto add = [&](const std::string& name, const char* dtype, size_t width, std::string data, char fill) {
    data.append(padding(data.size()), fill);
    (*header)[name] = {
        {"dtype", dtype}, {"shape", {data.size() / width}}, {"data_offsets", {body.size(), body.size() + data.size()}}};
    body += data;
  };
  add("graph", "U8", 1, parts.graph, ' ');
  add("tables", "I32", 4, parts.tables, '\0');
  for (size_t i = 0; i < parts.weights.size(); ++i) add("weights." + std::to_string(i), "F32", 4, parts.weights[i], '\0');
  add("checksum", "U8", 1, std::string(kLine, '\0'), '\0');
  return body;
}

std::string assemble(const Parts& parts) {
  nlohmann::ordered_json header;
  const std::string body = body_of(parts, &header);
  return seal(header.dump(), body);
}

// Bytes, whatever they mean.
void mutate_bytes(std::string& bytes, Random& random) {
  if (bytes.empty()) return;
  const size_t at = random.below(bytes.size());
  const size_t run = std::min(bytes.size() - at, size_t{1} << random.below(9));
  static const char odd[] = {'\0', '\x01', '\x7f', '\x80', '\xff', '{', '}', '[', ']', '"', ',', ' ', '0', '9', '-', '\\'};
  switch (random.below(8)) {
    case 0:
    case 1:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
      break;
    case 2:
      bytes[at] = random.pick(odd);
      break;
    case 3:
      for (size_t i = 0; i < run; ++i) bytes[at + i] = static_cast<char>(random.bits());
      break;
    case 4:
      bytes.resize(at);
      break;
    case 5:
      bytes.insert(at, std::string(1 + random.below(random.below(2) ? 4 : 200), random.pick(odd)));
      break;
    case 6:
      bytes.erase(at, run);
      break;
    case 7: {  // a chunk from elsewhere
      const std::string chunk = bytes.substr(random.below(bytes.size()), run);
      bytes.replace(at, std::min(chunk.size(), bytes.size() - at), chunk);
      break;
    }
  }
}

void mutate_tables(std::string& tables, Random& random) {
  if (tables.size() < 4) return;
  static const int32_t odd[] = {-1, -2, 0, 1, 5, 63, 1 << 20, 1 << 24, INT32_MAX, INT32_MIN};
  for (size_t n = 1 + random.below(4); n; --n) {
    const int32_t entry = random.below(2) ? random.pick(odd) : static_cast<int32_t>(random.below(64));
    std::memcpy(&tables[random.below(tables.size() / 4) * 4], &entry, sizeof entry);
  }
}

void mutate_weights(std::vector<std::string>& weights, Random& random) {
  if (weights.empty()) return;
  std::string& tensor = weights[random.below(weights.size())];
  switch (random.below(5)) {
    case 0:
      tensor.resize(tensor.size() + kLine);
      break;
    case 1:
      if (tensor.size() >= kLine) tensor.resize(tensor.size() - kLine);
      break;
    case 2:
      std::swap(tensor, weights[random.below(weights.size())]);
      break;
    case 3:
      weights.pop_back();
      break;
    default:
      if (!tensor.empty()) {
        const uint32_t odd[] = {
            0x7F800000, 0xFF800000, 0x7FC00000, 0x7F7FFFFF, 0x00000001, 0x80000000, static_cast<uint32_t>(random.bits())};
        std::memcpy(&tensor[random.below(tensor.size() / 4) * 4], &random.pick(odd), 4);
      }
  }
}

struct Original {
  std::string file;
  Parts parts;
  size_t weights_begin = 0, weights_end = 0;
};

// Whether a file of the same size differs from the original where the checksum looks.
bool damaged(const Original& original, const std::string& file) {
  if (file.size() != original.file.size()) return true;
  for (size_t i = 0; i < file.size(); ++i)
    if (file[i] != original.file[i] && (i < original.weights_begin || i >= original.weights_end)) return true;
  return false;
}

std::string mutation(const Original& original, Random& random, bool* must_be_rejected) {
  *must_be_rejected = false;
  Parts parts = original.parts;
  nlohmann::ordered_json header;
  const size_t times = 1 + (random.below(3) == 0) * random.below(4);
  switch (random.below(10)) {
    case 0:
    case 1:
    case 2: {  // nothing sealed
      std::string file = original.file;
      for (size_t i = 0; i < times; ++i) mutate_bytes(file, random);
      *must_be_rejected = damaged(original, file);
      return file;
    }
    case 3:  // the same with the checksum put right, as far as it is still a file of two parts
    {
      std::string body = body_of(parts, &header), text = header.dump();
      for (size_t i = 0; i < times; ++i) mutate_bytes(random.below(2) ? text : body, random);
      return seal(text, body);
    }
    case 4: {
      const std::string body = body_of(parts, &header);
      std::string text = header.dump();
      for (size_t i = 0; i < times; ++i) fuzz::mutate_json(text, random);
      return seal(text, body);
    }
    case 5:
      for (size_t i = 0; i < times; ++i) mutate_tables(parts.tables, random);
      break;
    case 6:
      for (size_t i = 0; i < times; ++i) mutate_weights(parts.weights, random);
      break;
    case 7:
      for (size_t i = 0; i < times; ++i) mutate_bytes(parts.graph, random);
      break;
    default:
      for (size_t i = 0; i < times; ++i) fuzz::mutate_json(parts.graph, random);
      if (random.below(4) == 0) mutate_tables(parts.tables, random);
      if (random.below(4) == 0) mutate_weights(parts.weights, random);
  }
  return assemble(parts);
}

bool accepted(const std::string& file) {
  try {
    fuzz::exercise(*genfast::read_graph(file.data(), file.size()));
    return true;
  } catch (const genfast::FormatError& error) {
    expect(std::strncmp(error.what(), "<memory>: ", 10) == 0, "the message does not name the file");
    return false;
  } catch (const std::exception& error) {
    broken(std::string("not a FormatError: ") + error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: mutate FILE COUNT [FIRST]\n");
    return 64;
  }
  if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(report);
  std::signal(SIGALRM, timed_out);
  std::ifstream in(argv[1], std::ios::binary);
  Original original;
  original.file.assign(std::istreambuf_iterator<char>(in), {});
  expect(accepted(original.file), "the original is not a valid file");
  original.parts = split(original.file);
  original.weights_end = original.file.size() - kLine;
  original.weights_begin = original.weights_end;
  for (const std::string& weights : original.parts.weights) original.weights_begin -= weights.size();
  expect(accepted(assemble(original.parts)), "taken apart and put together, the original is not valid any more");

  const unsigned long long first = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1, count = std::strtoull(argv[2], nullptr, 10);
  unsigned long long accepts = 0;
  for (current = first; current < first + count; current = current + 1) {
    alarm(kSeconds);
    Random random(current);
    bool must_be_rejected = false;
    const std::string file = mutation(original, random, &must_be_rejected);
    const bool accept = accepted(file);
    expect(!accept || !must_be_rejected, "damage outside the weights went unnoticed");
    accepts += accept;
  }
  std::printf("%s: %llu mutations, %llu rejected, %llu accepted\n", argv[1], count, count - accepts, accepts);
  return 0;
}
