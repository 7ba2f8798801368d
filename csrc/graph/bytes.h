// The raw bytes of a file, 64-byte aligned, kept alive by a handle. Used by reader.cc only; it knows nothing of what they mean.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace genfast {

struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
  std::shared_ptr<const void> storage;
};

// Reads a regular file, or maps it from 64 MB on. A mapped file must not be truncated while it is in use: no reader can survive
// that (SIGBUS), which is why writers rename a finished file into place. Throws FormatError.
Bytes load_file(const std::string& path);
Bytes copy_bytes(const void* data, size_t size);

}  // namespace genfast
