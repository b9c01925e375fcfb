#include "capdiff/backends/onednn/buffer.h"

#include <cstdlib>
#include <new>

#include "capdiff/base/error.h"

namespace capdiff::onednn {
namespace {

constexpr std::size_t kAlignment = 64;
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

BufferPool::~BufferPool() {
  for (const auto& [bytes, memory] : free_) std::free(memory);
}

std::shared_ptr<std::byte> BufferPool::allocate(std::size_t bytes) {
  const std::size_t granularity = bytes < kGranularity ? kAlignment : kGranularity;
  std::size_t rounded = 0;
  if (__builtin_add_overflow(bytes, granularity, &rounded))
    fail(ErrorCode::io, "out of memory: {} bytes are needed", bytes);
  rounded = rounded / granularity * granularity;
  std::byte* memory = nullptr;
  {
    const std::lock_guard lock(mutex_);
    // A little too large is welcome; much too large would keep big buffers busy with small values.
    if (const auto found = free_.lower_bound(rounded); found != free_.end() && found->first / 5 <= rounded / 4) {
      memory = found->second;
      rounded = found->first;
      free_bytes_ -= rounded;
      free_.erase(found);
    }
  }
  if (!memory) memory = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded));
  if (!memory) fail(ErrorCode::io, "out of memory: {} bytes are needed", bytes);
  return {memory, [pool = weak_from_this(), rounded](std::byte* returned) {
            if (const auto alive = pool.lock())
              alive->release(returned, rounded);
            else
              std::free(returned);
          }};
}

void BufferPool::release(std::byte* memory, std::size_t bytes) {
  try {
    const std::lock_guard lock(mutex_);
    if (bytes <= kMaxFreeBytes - free_bytes_) {
      free_.emplace(bytes, memory);
      free_bytes_ += bytes;
      return;
    }
  } catch (const std::bad_alloc&) {
    // No room to remember it; it is freed instead.
  }
  std::free(memory);
}

}  // namespace capdiff::onednn
