#include "capdiff/backends/onednn/buffer.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "capdiff/base/error.h"

namespace capdiff::onednn {
namespace {

constexpr std::size_t kGranularity = 4096;
/// Free memory above this goes back to the operating system.
constexpr std::size_t kMaxFreeBytes = std::size_t{512} << 20;

}  // namespace

std::size_t checked_bytes(const Shape& shape, std::size_t element_size) {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<std::size_t>(shape.numel()), element_size, &bytes))
    fail(ErrorCode::io, "out of memory: a tensor of shape {}", to_string(shape));
  return bytes;
}

std::shared_ptr<std::byte> BufferPool::allocate(std::size_t bytes) {
  const std::size_t granularity = bytes < kGranularity ? kMemoryAlignment : kGranularity;
  std::size_t rounded = 0;
  if (__builtin_add_overflow(bytes, granularity, &rounded))
    fail(ErrorCode::io, "out of memory: {} bytes are needed", bytes);
  rounded = rounded / granularity * granularity;
  AlignedMemory memory;
  {
    const std::lock_guard lock(mutex_);
    // A little too large is welcome; much too large would keep big buffers busy with small values.
    if (const auto found = free_.lower_bound(rounded); found != free_.end() && found->first / 5 <= rounded / 4) {
      memory = std::move(found->second);
      rounded = found->first;
      free_bytes_ -= rounded;
      free_.erase(found);
    }
  }
  if (!memory) memory = allocate_aligned(rounded);
  if (!memory) fail(ErrorCode::io, "out of memory: {} bytes are needed", bytes);
  const ReturnMemory give_back = memory.get_deleter();
  return {memory.release(), [pool = weak_from_this(), rounded, give_back](std::byte* returned) {
            AlignedMemory owned(returned, give_back);
            if (const auto alive = pool.lock()) alive->release(std::move(owned), rounded);
          }};
}

void BufferPool::release(AlignedMemory memory, std::size_t bytes) {
  try {
    const std::lock_guard lock(mutex_);
    if (bytes <= kMaxFreeBytes - free_bytes_) {
      free_.emplace(bytes, std::move(memory));
      free_bytes_ += bytes;
    }
  } catch (const std::bad_alloc&) {
    // No room to remember it; it is freed instead.
  }
}

void copy_elements(const Buffer& buffer, std::size_t begin, std::size_t count, std::byte* to) {
  if (buffer.rows == 0) {
    if (count > 0) std::memcpy(to, buffer.bytes + begin, count);
    return;
  }
  while (count > 0) {
    const std::size_t row = begin / buffer.row_bytes, column = begin % buffer.row_bytes;
    const std::size_t bytes = std::min(count, buffer.row_bytes - column);
    std::memcpy(to, buffer.bytes + row * buffer.stride_bytes + column, bytes);
    begin += bytes;
    count -= bytes;
    to += bytes;
  }
}

const std::byte* contiguous(const Buffer& buffer) {
  if (buffer.rows == 0) return buffer.bytes;
  const auto& copy = buffer.copy.get_or_make([&] {
    std::shared_ptr<std::byte> memory = buffer.pool->allocate(buffer.rows * buffer.row_bytes);
    copy_elements(buffer, 0, buffer.rows * buffer.row_bytes, memory.get());
    return memory;
  });
  return static_cast<const std::byte*>(copy.get());
}

}  // namespace capdiff::onednn
