#include "capdiff/base/aligned_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace capdiff {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kMappedFrom = 2 * kHugePage;

/// `bytes` rounded up to a multiple of `unit`; 0 where that overflows.
std::size_t rounded_up(std::size_t bytes, std::size_t unit) {
  std::size_t sum = 0;
  return __builtin_add_overflow(bytes, unit - 1, &sum) ? 0 : sum / unit * unit;
}

/// Zeroed memory that begins where a huge page may begin.
AlignedMemory map_aligned(std::size_t bytes) {
  const std::size_t size = rounded_up(bytes, kHugePage);
  std::size_t reserved = 0;
  if (size == 0 || __builtin_add_overflow(size, kHugePage, &reserved)) return {};
  void* const mapped = ::mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return {};
  auto* const base = static_cast<std::byte*>(mapped);
  const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(base) % kHugePage) % kHugePage;
  std::byte* const begin = base + before;
  if (before > 0) ::munmap(base, before);
  ::munmap(begin + size, kHugePage - before);
  ::madvise(begin, size, MADV_HUGEPAGE);  // only advice: without huge pages it is slower and as right
  return {begin, ReturnMemory{size}};
}

}  // namespace

void ReturnMemory::operator()(std::byte* memory) const noexcept {
  if (mapped_bytes > 0)
    ::munmap(memory, mapped_bytes);
  else
    std::free(memory);
}

AlignedMemory allocate_aligned(std::size_t bytes) noexcept {
  if (bytes >= kMappedFrom) return map_aligned(bytes);
  return {static_cast<std::byte*>(std::aligned_alloc(kMemoryAlignment, rounded_up(bytes + 1, kMemoryAlignment))),
          ReturnMemory{}};
}

AlignedMemory allocate_zeroed(std::size_t bytes) noexcept {
  AlignedMemory memory = allocate_aligned(bytes);
  if (memory && bytes < kMappedFrom) std::memset(memory.get(), 0, bytes);
  return memory;
}

}  // namespace capdiff
