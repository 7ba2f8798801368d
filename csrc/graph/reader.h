// The one reader of .genfast files, for Python and C++ alike. Every offset, shape, index and enum is checked here, so a file from a
// stranger either becomes a valid Graph or a FormatError that says what is wrong; it never reads outside the file.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

#include "graph/graph.h"

namespace genfast {

// Files under 64 MB are read, larger ones mapped. Throws FormatError (also for a missing file, naming the path).
std::shared_ptr<const Graph> read_graph(const std::string& path);
// The same from memory; the bytes are copied. `name` stands for the path in messages.
std::shared_ptr<const Graph> read_graph(const void* data, size_t size, const std::string& name = "<memory>");

}  // namespace genfast
