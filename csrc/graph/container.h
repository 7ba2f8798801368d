// The safetensors container around a graph: finds its tensors, checks that they fill the file exactly, and their checksum. Called
// by reader.cc with the bytes of a whole file; knows nothing about nodes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace genfast {

struct Container {
  std::string_view graph;  // JSON text, padded with spaces
  const int32_t* tables = nullptr;
  int64_t tables_size = 0;
  std::vector<Weights> weights;
};

// `data` is 64-byte aligned and outlives the result, which points into it. Throws FormatError.
Container open_container(const uint8_t* data, size_t size);

}  // namespace genfast
