#include "graph/bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/aligned.h"
#include "base/errors.h"

namespace genfast {
namespace {

constexpr size_t kMapFrom = size_t{64} << 20;

struct File {
  int fd;
  ~File() {
    if (fd >= 0) ::close(fd);
  }
};

[[noreturn]] void fail(const char* what) { throw FormatError(std::string(what) + ": " + std::generic_category().message(errno)); }

Bytes owned(AlignedBuffer<uint8_t>&& buffer) {
  auto storage = std::make_shared<const AlignedBuffer<uint8_t>>(std::move(buffer));
  return {storage->data(), storage->size(), storage};
}

Bytes read_all(int fd, size_t size) {
  auto buffer = AlignedBuffer<uint8_t>::uninitialised(size);
  for (size_t done = 0; done < size;) {
    const ssize_t got = ::read(fd, buffer.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot read");
    if (got == 0) throw FormatError("the file became shorter while it was read");
    done += static_cast<size_t>(got);
  }
  return owned(std::move(buffer));
}

Bytes map_all(int fd, size_t size) {
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) fail("cannot map");
  std::shared_ptr<const void> storage(address, [size](const void* p) { ::munmap(const_cast<void*>(p), size); });
  return {static_cast<const uint8_t*>(address), size, std::move(storage)};
}

}  // namespace

Bytes load_file(const std::string& path) {
  if (path.find('\0') != std::string::npos) throw FormatError("the path contains a NUL byte");
  // O_NONBLOCK: opening a FIFO must fail below, not wait for its writer.
  const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) fail("cannot open");
  struct stat info;
  if (::fstat(file.fd, &info) != 0) fail("cannot stat");
  if (!S_ISREG(info.st_mode)) throw FormatError(S_ISDIR(info.st_mode) ? "is a directory, not a file" : "is not a regular file");
  if (info.st_size == 0) throw FormatError("the file is empty");
  const auto size = static_cast<size_t>(info.st_size);
  return size < kMapFrom ? read_all(file.fd, size) : map_all(file.fd, size);
}

Bytes copy_bytes(const void* data, size_t size) {
  if (size == 0) throw FormatError("is empty");
  auto buffer = AlignedBuffer<uint8_t>::uninitialised(size);
  std::memcpy(buffer.data(), data, size);
  return owned(std::move(buffer));
}

}  // namespace genfast
