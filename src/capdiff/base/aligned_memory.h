#pragma once

#include <cstddef>
#include <memory>

namespace capdiff {

/// Every element type and every vector register fits this alignment.
inline constexpr std::size_t kMemoryAlignment = 64;

struct ReturnMemory {
  std::size_t mapped_bytes = 0;  ///< 0 where it came from the heap
  void operator()(std::byte* memory) const noexcept;
};

/// Memory aligned to `kMemoryAlignment`. Large blocks are mapped by themselves and ask for huge pages: first touching a
/// model's weights page by page would take longer than copying them.
using AlignedMemory = std::unique_ptr<std::byte, ReturnMemory>;

/// Uninitialised memory; null where there is none.
AlignedMemory allocate_aligned(std::size_t bytes) noexcept;
/// Memory filled with zeros; null where there is none.
AlignedMemory allocate_zeroed(std::size_t bytes) noexcept;

}  // namespace capdiff
