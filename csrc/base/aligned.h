// Arrays that start on a 64-byte boundary (a cache line, a zmm register), for weights, activations and scratch. Owned by whoever
// made them, zeroed unless asked otherwise. Never grows, never copies, never holds anything but plain data.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace genfast {

inline constexpr size_t kAlignment = 64;
inline constexpr size_t kHugePage = 2 << 20;

template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>, "plain data only");

 public:
  AlignedBuffer() = default;
  // Zeros. Large ones are pages that the system hands out when they are first touched: what is never used costs nothing.
  explicit AlignedBuffer(size_t size) : AlignedBuffer(uninitialised(size)) {
    if (size && !is_mapped(size)) std::memset(static_cast<void*>(data_), 0, size * sizeof(T));
  }
  // For a caller that overwrites everything at once, such as read(2): zeroing first would touch every page twice.
  static AlignedBuffer uninitialised(size_t size) {
    if (size > (std::numeric_limits<size_t>::max() - kAlignment) / sizeof(T)) throw std::bad_alloc();
    AlignedBuffer buffer;
    if (size) buffer.data_ = static_cast<T*>(allocate(size * sizeof(T)));
    buffer.size_ = size;
    return buffer;
  }
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~AlignedBuffer() {
    if (!data_) return;
#ifdef __linux__
    if (is_mapped(size_)) {
      munmap(static_cast<void*>(data_), whole(size_ * sizeof(T), kHugePage));
      return;
    }
#endif
    std::free(data_);
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  static bool is_mapped(size_t size) {
#ifdef __linux__
    return size * sizeof(T) >= kHugePage / 2;
#else
    (void)size;
    return false;
#endif
  }
  static size_t whole(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

  static void* allocate(size_t bytes) {
#ifdef __linux__
    if (is_mapped(bytes / sizeof(T))) return map_pages(whole(bytes, kHugePage));
#endif
    void* p = std::aligned_alloc(kAlignment, whole(bytes, kAlignment));
    if (!p) throw std::bad_alloc();
    return p;
  }

#ifdef __linux__
  // On a huge page's boundary, which takes one page more for a moment.
  static void* map_pages(size_t bytes) {
    if (bytes > std::numeric_limits<size_t>::max() - kHugePage) throw std::bad_alloc();
    void* p = mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    char* begin = static_cast<char*>(p);
    const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(p) % kHugePage) % kHugePage;
    if (before) munmap(begin, before);
    if (before < kHugePage) munmap(begin + before + bytes, kHugePage - before);
    // Weights and activations are swept again and again: small pages cost TLB entries and cache conflicts. Only advice, may fail.
    madvise(begin + before, bytes, MADV_HUGEPAGE);
    return begin + before;
  }
#endif

  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace genfast
