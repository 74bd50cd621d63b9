// Aligned storage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "runtime/memory.h"

namespace fastseq {

inline std::size_t bytes(int64_t floats) { return static_cast<std::size_t>(floats) * sizeof(float); }

/// An owned, 64-byte aligned array; `Buffer(n)` is uninitialised, `Buffer::zeros(n)` is zero. One of 0 elements has an
/// address too, as the functions of <cstring> ask even where they have nothing to do. `Buffer::borrow` is a part of
/// what somebody else owns, such as a mapped file: it is only read.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t size) : size_(size) { data_ = static_cast<T*>(allocate(bytes())); }
  static Buffer zeros(int64_t size) {
    Buffer buffer(size);
    buffer.fill_zero();
    return buffer;
  }
  static Buffer borrow(const T* data, int64_t size, std::shared_ptr<const void> owner) {
    Buffer buffer;
    buffer.data_ = const_cast<T*>(data);
    buffer.size_ = size;
    buffer.owner_ = std::move(owner);
    return buffer;
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (data_ != nullptr && owner_ == nullptr) release(data_, bytes());
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  int64_t size() const { return size_; }
  T& operator[](int64_t i) { return data_[i]; }
  const T& operator[](int64_t i) const { return data_[i]; }
  void fill_zero() {
    if (data_ != nullptr) std::memset(static_cast<void*>(data_), 0, bytes());
  }
  /// Makes room for at least `size` elements; the contents are lost when it has to grow.
  void reserve_discard(int64_t size) {
    if (size > size_ || data_ == nullptr) *this = Buffer(size);
  }

 private:
  std::size_t bytes() const { return static_cast<std::size_t>(size_ > 0 ? size_ : 1) * sizeof(T); }
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(owner_, other.owner_);
  }

  T* data_ = nullptr;
  int64_t size_ = 0;
  std::shared_ptr<const void> owner_;  // of borrowed numbers
};

}  // namespace fastseq
