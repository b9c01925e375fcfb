#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>

#include "capdiff/backends/backend.h"
#include "capdiff/base/aligned_memory.h"

namespace capdiff::onednn {

/// 64-byte aligned memory, reused: activations of a model have the same few sizes in every step, and fresh pages from
/// the operating system cost more than most operations. May be used from several threads; buffers may outlive the pool.
class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  BufferPool() = default;
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  /// Uninitialised memory that comes back to the pool with its last owner. Throws `Error(io)` when there is none.
  std::shared_ptr<std::byte> allocate(std::size_t bytes);

 private:
  void release(AlignedMemory memory, std::size_t bytes);

  std::mutex mutex_;
  std::multimap<std::size_t, AlignedMemory> free_;
  std::size_t free_bytes_ = 0;
};

/// What is made of elements once, for all operations that need it. Whoever asks first makes it; others wait.
class Derived {
 public:
  template <class Make>
  const std::shared_ptr<const void>& get_or_make(Make&& make) const {
    std::call_once(once_, [&] { made_ = make(); });
    return made_;
  }

 private:
  mutable std::once_flag once_;
  mutable std::shared_ptr<const void> made_;
};

/// Elements of a Value: all of `owner`'s memory or a part of it.
struct Buffer final : Value::Storage {
  Buffer(std::shared_ptr<const void> memory_owner, const std::byte* first)
      : owner(std::move(memory_owner)), bytes(first) {}

  std::shared_ptr<const void> owner;
  const std::byte* bytes;
  /// A part of every row of a matrix: `rows` times `row_bytes`, `stride_bytes` from each other. Otherwise the elements
  /// follow each other, and rows is 0.
  std::size_t rows = 0, row_bytes = 0, stride_bytes = 0;
  std::shared_ptr<BufferPool> pool;  ///< memory for a copy, where there are rows
  Derived copy;                      ///< the elements behind each other, where there are rows
  Derived lasting_keys;              ///< laid out for attention
};

/// Copies `count` bytes of the elements, `begin` bytes from the first.
void copy_elements(const Buffer& buffer, std::size_t begin, std::size_t count, std::byte* to);

/// The elements behind each other, copied if they are not.
const std::byte* contiguous(const Buffer& buffer);

/// Size of a tensor in bytes; throws `Error(io)` where it overflows.
std::size_t checked_bytes(const Shape& shape, std::size_t element_size);

inline const Buffer& buffer_of(const Value& value) {
  return static_cast<const Buffer&>(*value.storage());
}

template <class T>
const T* data_of(const Value& value) {
  return reinterpret_cast<const T*>(contiguous(buffer_of(value)));
}

}  // namespace capdiff::onednn
