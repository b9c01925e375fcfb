#pragma once

#include <cstdint>

namespace capdiff {

// Bounds of what a configuration may ask for: generous for any published model, small enough that products of a few of
// them cannot overflow.
constexpr std::int64_t kMaxSide = 4096;  ///< pixels
constexpr std::int64_t kMaxWidth = 16384;
constexpr std::int64_t kMaxDepth = 256;
constexpr std::int64_t kMaxVocabulary = 1 << 20;
constexpr std::int64_t kMaxPositions = 4096;

}  // namespace capdiff
