#include "capdiff/base/aligned_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

namespace capdiff {
namespace {

/// Below, at and above the size from which blocks are mapped by themselves.
constexpr std::size_t kSizes[] = {0, 1, 63, 64, 65, 4097, (4u << 20) - 1, 4u << 20, (4u << 20) + 1, (9u << 20) + 12345};

TEST(AlignedMemory, IsAlignedAndWritable) {
  for (const std::size_t bytes : kSizes) {
    AlignedMemory memory = allocate_aligned(bytes);
    ASSERT_TRUE(memory) << bytes;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % kMemoryAlignment, 0u) << bytes;
    std::fill_n(memory.get(), bytes, std::byte{7});
    AlignedMemory moved = std::move(memory);
    EXPECT_EQ(std::count(moved.get(), moved.get() + bytes, std::byte{7}), static_cast<std::ptrdiff_t>(bytes));
  }
}

TEST(AlignedMemory, ZeroedMemoryIsZeroAfterOthersUsedIt) {
  for (int round = 0; round < 3; ++round) {
    for (const std::size_t bytes : kSizes) {
      const AlignedMemory memory = allocate_zeroed(bytes);
      ASSERT_TRUE(memory) << bytes;
      EXPECT_EQ(std::count(memory.get(), memory.get() + bytes, std::byte{0}), static_cast<std::ptrdiff_t>(bytes));
      std::fill_n(memory.get(), bytes, std::byte{0xFF});
    }
  }
}

TEST(AlignedMemory, IsNullWhereThereIsNone) {
  for (const std::size_t less : {std::size_t{0}, std::size_t{63}, std::size_t{64}, std::size_t{3} << 20}) {
    EXPECT_FALSE(allocate_aligned(std::numeric_limits<std::size_t>::max() - less));
    EXPECT_FALSE(allocate_zeroed(std::numeric_limits<std::size_t>::max() - less));
  }
}

}  // namespace
}  // namespace capdiff
