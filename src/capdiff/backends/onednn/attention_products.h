#pragma once

#include <cstdint>

namespace capdiff::onednn {

// The two products of attention, for one thread: scores = q kᵀ, and probabilities · v.

/// Six rows of sums in vectors of sixteen fit the registers of AVX2 (12 of 16) and of AVX-512.
inline constexpr std::int64_t kRows = 6;
inline constexpr std::int64_t kLanes = 16;
using Vector [[gnu::vector_size(kLanes * sizeof(float)), gnu::aligned(4), gnu::may_alias]] = float;

/// Two numbers in bf16 that follow each other along the axis of a sum, the first in the lower half.
using Pair [[gnu::may_alias]] = std::uint32_t;

constexpr std::int64_t padded(std::int64_t n) {
  return (n + kLanes - 1) / kLanes * kLanes;
}

/// Pairs that n numbers make; an odd one is followed by 0.
constexpr std::int64_t pairs_of(std::int64_t n) {
  return (n + 1) / 2;
}

/// c [kRows, n] = a [kRows, depth] · b [depth, n], where n is a multiple of kLanes. The order of summation of an
/// element depends on depth alone.
void multiply_block(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, std::int64_t depth,
                    float* c, std::int64_t c_stride, std::int64_t n);

/// The same of pairs: `depth` and the strides of a and b count pairs. Only where `has_avx512_bf16()`.
void multiply_pairs(const Pair* a, std::int64_t a_stride, const Pair* b, std::int64_t b_stride, std::int64_t depth,
                    float* c, std::int64_t c_stride, std::int64_t n);

}  // namespace capdiff::onednn
