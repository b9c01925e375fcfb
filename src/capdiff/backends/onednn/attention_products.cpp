#include "capdiff/backends/onednn/attention_products.h"

#include <cassert>

#include "capdiff/backends/onednn/simd.h"

#ifdef CAPDIFF_SIMD_AVX512
#include <immintrin.h>
#endif

namespace capdiff::onednn {
namespace {

/// c [kRows, vectors · kLanes] = a [kRows, depth] · b [depth, …].
template <int vectors>
[[gnu::always_inline]] inline void multiply_tile(const float* a, std::int64_t a_stride, const float* b,
                                                 std::int64_t b_stride, std::int64_t depth, float* c,
                                                 std::int64_t c_stride) {
  Vector sums[kRows][vectors] = {};
  for (std::int64_t p = 0; p < depth; ++p) {
    Vector row[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) row[v] = *reinterpret_cast<const Vector*>(b + p * b_stride + v * kLanes);
#pragma GCC unroll 6
    for (std::int64_t r = 0; r < kRows; ++r) {
      const float factor = a[r * a_stride + p];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[r][v] += factor * row[v];
    }
  }
#pragma GCC unroll 6
  for (std::int64_t r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) *reinterpret_cast<Vector*>(c + r * c_stride + v * kLanes) = sums[r][v];
}

CAPDIFF_SIMD_CLONES void multiply_narrow(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride,
                                         std::int64_t depth, float* c, std::int64_t c_stride, std::int64_t n) {
  for (std::int64_t j = 0; j < n; j += kLanes) multiply_tile<1>(a, a_stride, b + j, b_stride, depth, c + j, c_stride);
}

#ifdef CAPDIFF_SIMD_AVX512
/// AVX-512 has registers for four vectors of sums a row: less is loaded for each product.
template <int vectors>
CAPDIFF_SIMD_AVX512 void multiply_wide_tile(const float* a, std::int64_t a_stride, const float* b,
                                            std::int64_t b_stride, std::int64_t depth, float* c,
                                            std::int64_t c_stride) {
  multiply_tile<vectors>(a, a_stride, b, b_stride, depth, c, c_stride);
}

template <int vectors>
CAPDIFF_SIMD_AVX512_BF16 void multiply_pairs_tile(const Pair* a, std::int64_t a_stride, const Pair* b,
                                                  std::int64_t b_stride, std::int64_t depth, float* c,
                                                  std::int64_t c_stride) {
  __m512 sums[kRows][vectors] = {};
  for (std::int64_t p = 0; p < depth; ++p) {
    __m512bh row[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) row[v] = (__m512bh)_mm512_loadu_si512(b + p * b_stride + v * kLanes);
#pragma GCC unroll 6
    for (std::int64_t r = 0; r < kRows; ++r) {
      const auto factor = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[r * a_stride + p]));
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], factor, row[v]);
    }
  }
#pragma GCC unroll 6
  for (std::int64_t r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) _mm512_storeu_ps(c + r * c_stride + v * kLanes, sums[r][v]);
}
#endif

}  // namespace

void multiply_block(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, std::int64_t depth,
                    float* c, std::int64_t c_stride, std::int64_t n) {
  std::int64_t j = 0;
#ifdef CAPDIFF_SIMD_AVX512
  if (has_avx512()) {
    for (; n - j >= 4 * kLanes; j += 4 * kLanes)
      multiply_wide_tile<4>(a, a_stride, b + j, b_stride, depth, c + j, c_stride);
    if (n - j >= 2 * kLanes) {
      multiply_wide_tile<2>(a, a_stride, b + j, b_stride, depth, c + j, c_stride);
      j += 2 * kLanes;
    }
  }
#endif
  multiply_narrow(a, a_stride, b + j, b_stride, depth, c + j, c_stride, n - j);
}

#ifdef CAPDIFF_SIMD_AVX512
void multiply_pairs(const Pair* a, std::int64_t a_stride, const Pair* b, std::int64_t b_stride, std::int64_t depth,
                    float* c, std::int64_t c_stride, std::int64_t n) {
  std::int64_t j = 0;
  for (; n - j >= 4 * kLanes; j += 4 * kLanes)
    multiply_pairs_tile<4>(a, a_stride, b + j, b_stride, depth, c + j, c_stride);
  if (n - j >= 2 * kLanes) {
    multiply_pairs_tile<2>(a, a_stride, b + j, b_stride, depth, c + j, c_stride);
    j += 2 * kLanes;
  }
  if (j < n) multiply_pairs_tile<1>(a, a_stride, b + j, b_stride, depth, c + j, c_stride);
}
#else
void multiply_pairs(const Pair*, std::int64_t, const Pair*, std::int64_t, std::int64_t, float*, std::int64_t,
                    std::int64_t) {
  assert(false);
}
#endif

}  // namespace capdiff::onednn
