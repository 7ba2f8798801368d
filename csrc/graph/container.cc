#include "graph/container.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <string>

#include "base/crc32.h"
#include "graph/json.h"
#include "graph/limits.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little endian and their arrays are used in place");

namespace genfast {
namespace {

struct Tensor {
  std::string dtype;
  std::vector<int64_t> shape;
  const uint8_t* data = nullptr;
  size_t begin = 0, size = 0;
};
using Tensors = std::map<std::string, Tensor>;

WeightType weight_type(const std::string& dtype) {
  int type = 0;
  while (type < static_cast<int>(WeightType::count) && dtype != kWeightTypes[type].dtype) ++type;
  return static_cast<WeightType>(type);
}

// Bytes of one number, or 0.
int64_t width_of(const std::string& dtype) {
  if (dtype == "U8") return 1;
  if (dtype == "I32") return 4;
  const WeightType type = weight_type(dtype);
  return type == WeightType::count ? 0 : info(type).bytes;
}

Tensor parse_entry(const Json& entry) {
  expect_keys(entry, {"dtype", "shape", "data_offsets"});
  Tensor tensor;
  tensor.dtype = string_at(entry, "dtype");
  const int64_t width = width_of(tensor.dtype);
  if (!width) throw FormatError("dtype must be U8, I32, F32, BF16 or I8, got " + in_quotes(tensor.dtype));
  const Json& shape = array_at(entry, "shape");
  if (shape.size() != 1) throw FormatError("shape must have one dimension, got " + std::to_string(shape.size()));
  tensor.shape = {integer_from(shape[0], "shape[0]", 0, kMaxBytes / width)};
  int64_t begin = 0, end = 0;
  within([] { return std::string("data_offsets"); },
         [&] { read_columns(entry.at("data_offsets"), {{"begin", 0, kMaxBytes, &begin}, {"end", 0, kMaxBytes, &end}}); });
  if (end - begin != tensor.shape[0] * width)
    throw FormatError("shape [" + std::to_string(tensor.shape[0]) + "] of " + tensor.dtype + " needs " +
                      std::to_string(tensor.shape[0] * width) + " bytes, data_offsets hold " + std::to_string(end - begin));
  if ((end - begin) % kFileAlignment)
    throw FormatError("its size must be a multiple of 64 bytes, got " + std::to_string(end - begin));
  tensor.begin = static_cast<size_t>(begin);
  tensor.size = static_cast<size_t>(end - begin);
  return tensor;
}

void check_metadata(const Json& header) {
  if (!header.contains("__metadata__")) throw FormatError("not a genfast file: __metadata__ is missing from the header");
  const Json& metadata = header.at("__metadata__");
  within([] { return std::string("__metadata__"); },
         [&] {
           expect_keys(metadata, {"format", "version"});
           if (string_at(metadata, "format") != "genfast")
             throw FormatError("not a genfast file: format is " + picture(metadata.at("format")));
           if (string_at(metadata, "version") != std::to_string(kVersion))
             throw FormatError("version " + picture(metadata.at("version")) + " is not supported, this genfast reads version " +
                               std::to_string(kVersion));
         });
}

Tensors parse_header(std::string_view text, const uint8_t* body, size_t body_size) {
  const Json header = parse_json(text);
  check_metadata(header);
  Tensors tensors;
  std::vector<std::pair<const std::string, Tensor>*> in_file;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    within([&name = name] { return "tensor " + in_quotes(name); },
           [&, &name = name, &entry = entry] { in_file.push_back(&*tensors.emplace(name, parse_entry(entry)).first); });
  }
  std::sort(in_file.begin(), in_file.end(), [](const auto* a, const auto* b) {
    return std::make_pair(a->second.begin, a->second.size) < std::make_pair(b->second.begin, b->second.size);
  });
  size_t end = 0;
  for (auto* item : in_file) {
    Tensor& tensor = item->second;
    if (tensor.begin != end)
      throw FormatError("tensor " + in_quotes(item->first) + " begins at byte " + std::to_string(tensor.begin) +
                        (tensor.begin > end ? ", leaving a gap after byte " : ", overlapping what ends at byte ") +
                        std::to_string(end));
    if (tensor.size > body_size - end)
      throw FormatError("tensor " + in_quotes(item->first) + " ends at byte " + std::to_string(end + tensor.size) +
                        ", the file has " + std::to_string(body_size) + " after its header (was it cut short?)");
    tensor.data = body + end;
    end += tensor.size;
  }
  if (end != body_size) throw FormatError(std::to_string(body_size - end) + " bytes after the last tensor");
  return tensors;
}

const Tensor& find(const Tensors& tensors, const char* name, const char* dtype) {
  const auto at = tensors.find(name);
  if (at == tensors.end()) throw FormatError("the tensor " + in_quotes(name) + " is missing");
  if (at->second.dtype != dtype) throw FormatError("tensor " + in_quotes(name) + " must be " + dtype + ", is " + at->second.dtype);
  return at->second;
}

void check_checksum(const Tensor& stored, const uint8_t* header, size_t header_size, const Tensor& graph, const Tensor& tables) {
  if (stored.size != 64) throw FormatError("tensor \"checksum\" must be 64 bytes, is " + std::to_string(stored.size));
  uint32_t crc = crc32(header, header_size);
  crc = crc32(graph.data, graph.size, crc);
  crc = crc32(tables.data, tables.size, crc);
  uint32_t expected;
  std::memcpy(&expected, stored.data, sizeof expected);
  if (crc != expected) throw FormatError("the checksum of header, graph and tables does not match: the file is damaged");
  if (std::any_of(stored.data + sizeof expected, stored.data + stored.size, [](uint8_t byte) { return byte != 0; }))
    throw FormatError("tensor \"checksum\" must be zero after its first four bytes");
}

std::vector<Weights> collect_weights(const Tensors& tensors) {
  static constexpr std::string_view prefix = "weights.";
  std::vector<Weights> weights(tensors.size() - 3);  // all but graph, tables and checksum: each index must come up exactly once
  for (const auto& [name, tensor] : tensors) {
    if (name == "graph" || name == "tables" || name == "checksum") continue;
    size_t index = 0;
    const char* const end = name.data() + name.size();
    if (name.compare(0, prefix.size(), prefix) != 0 || std::from_chars(name.data() + prefix.size(), end, index).ec != std::errc() ||
        name != std::string(prefix) + std::to_string(index))
      throw FormatError("unknown tensor " + in_quotes(name));
    if (index >= weights.size())
      throw FormatError("tensor " + in_quotes(name) + " does not follow on: there are " + std::to_string(weights.size()) +
                        " weights");
    const WeightType type = weight_type(tensor.dtype);
    if (type == WeightType::count) throw FormatError("tensor " + in_quotes(name) + " must be F32, BF16 or I8, is " + tensor.dtype);
    weights[index] = {type == WeightType::f32 ? reinterpret_cast<const float*>(tensor.data) : nullptr, tensor.shape[0], type,
                      tensor.data};
  }
  return weights;
}

// Branch-free so that it vectorises: it reads every byte of a large file.
template <class Word>
bool any_word(const Weights& weights, Word mask, Word match) {
  const auto* bytes = static_cast<const unsigned char*>(weights.bytes);
  Word bad = 0;
  for (int64_t i = 0; i < weights.size; ++i) {
    Word word;
    std::memcpy(&word, bytes + i * static_cast<int64_t>(sizeof word), sizeof word);
    bad |= (word & mask) == match;
  }
  return bad != 0;
}

void check_numbers(const Weights& weights, size_t index) {
  const std::string tensor = "tensor \"weights." + std::to_string(index) + "\"";
  if (weights.type == WeightType::i8) {
    if (any_word<uint8_t>(weights, 0xFF, 0x80)) throw FormatError(tensor + " contains -128; I8 goes from -127 to 127");
  } else if (weights.type == WeightType::bf16 ? any_word<uint16_t>(weights, 0x7F80, 0x7F80)
                                              : any_word<uint32_t>(weights, 0x7F800000, 0x7F800000)) {
    throw FormatError(tensor + " contains NaN or infinity");
  }
}

}  // namespace

Container open_container(const uint8_t* data, size_t size) {
  uint64_t length = 0;
  if (size < sizeof length) throw FormatError("not a genfast file: only " + std::to_string(size) + " bytes");
  std::memcpy(&length, data, sizeof length);
  if (length > kMaxHeader) throw FormatError("not a genfast file: its header would be " + std::to_string(length) + " bytes long");
  if (length > size - sizeof length)
    throw FormatError("the header is " + std::to_string(length) + " bytes long, the file only " + std::to_string(size) +
                      " (was it cut short?)");
  const size_t header_size = sizeof length + length;
  if (header_size % kFileAlignment)
    throw FormatError("the header must end at a multiple of 64 bytes, ends at " + std::to_string(header_size));

  Tensors tensors;
  within([] { return std::string("header"); },
         [&] {
           const std::string_view text(reinterpret_cast<const char*>(data) + sizeof length, length);
           tensors = parse_header(text, data + header_size, size - header_size);
         });
  const Tensor& graph = find(tensors, "graph", "U8");
  const Tensor& tables = find(tensors, "tables", "I32");
  check_checksum(find(tensors, "checksum", "U8"), data, header_size, graph, tables);
  if (graph.size > kMaxGraphText) throw FormatError("tensor \"graph\" is larger than 256 MB");

  Container container;
  container.graph = {reinterpret_cast<const char*>(graph.data), graph.size};
  container.tables = reinterpret_cast<const int32_t*>(tables.data);
  container.tables_size = static_cast<int64_t>(tables.size / sizeof(int32_t));
  container.weights = collect_weights(tensors);
  for (size_t i = 0; i < container.weights.size(); ++i) check_numbers(container.weights[i], i);
  return container;
}

}  // namespace genfast
