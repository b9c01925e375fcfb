#include "capdiff/backends/onednn/kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "capdiff/backends/onednn/simd.h"
#include "capdiff/tensor/dtype.h"

#ifdef CAPDIFF_SIMD_AVX512
#include <immintrin.h>
#endif

namespace capdiff::onednn {
namespace {

CAPDIFF_SIMD_CLONES void gelu(const float* x, float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i] = 0.5f * x[i] * (1.0f + erf_simd(x[i] * 0.70710678f));
}

CAPDIFF_SIMD_CLONES void swish(float alpha, const float* x, float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] / (1.0f + exp_simd(-alpha * x[i]));
}

CAPDIFF_SIMD_CLONES void round_by_integers(const float* x, std::uint16_t* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x[i]);
    const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const std::uint32_t quiet_nan = (bits >> 16) | 0x40u;
    y[i] = static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
  }
}

#ifdef CAPDIFF_SIMD_AVX512
CAPDIFF_SIMD_AVX512_BF16 void round_by_instruction(const float* x, std::uint16_t* y, std::int64_t n) {
  constexpr std::int64_t kFloats = 16;
  std::int64_t i = 0;
  for (; i + 2 * kFloats <= n; i += 2 * kFloats) {
    const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + kFloats), _mm512_loadu_ps(x + i));
    _mm512_storeu_si512(y + i, (__m512i)both);
  }
  for (; i < n; i += kFloats) {
    const auto lanes = static_cast<__mmask16>(n - i < kFloats ? (1 << (n - i)) - 1 : 0xffff);
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes, x + i));
    _mm256_mask_storeu_epi16(y + i, lanes, (__m256i)rounded);
  }
}
#endif

}  // namespace

void activate(Activation activation, const float* x, float* y, std::int64_t n) {
  switch (activation) {
    case Activation::none:
      if (x != y) std::copy(x, x + n, y);
      return;
    case Activation::gelu: return gelu(x, y, n);
    case Activation::quick_gelu: return swish(1.702f, x, y, n);
    case Activation::silu: return swish(1.0f, x, y, n);
    case Activation::relu:
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] < 0.0f ? 0.0f : x[i];
      return;
    case Activation::relu6:
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] < 0.0f ? 0.0f : (x[i] > 6.0f ? 6.0f : x[i]);
      return;
    case Activation::tanh:
      for (std::int64_t i = 0; i < n; ++i) y[i] = std::tanh(x[i]);
      return;
  }
}

void accumulate(const float* x, float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i] += x[i];
}

void round_to_bf16(const float* x, std::uint16_t* y, std::int64_t n) {
#ifdef CAPDIFF_SIMD_AVX512
  if (has_avx512_bf16()) return round_by_instruction(x, y, n);
#endif
  round_by_integers(x, y, n);
}

CAPDIFF_SIMD_CLONES void layer_norm_rows(const float* x, const float* residual, const float* gamma, const float* beta,
                                         float eps, float* y, std::int64_t rows, std::int64_t cols) {
  const float scale = 1.0f / static_cast<float>(cols);
  for (std::int64_t r = 0; r < rows; ++r, x += cols, y += cols) {
    const float* z = x;
    if (residual) {
      const float* other = residual + r * cols;
#pragma omp simd
      for (std::int64_t i = 0; i < cols; ++i) y[i] = x[i] + other[i];
      z = y;
    }
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < cols; ++i) sum += z[i];
    const float mean = sum * scale;
    float squares = 0.0f;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t i = 0; i < cols; ++i) squares += (z[i] - mean) * (z[i] - mean);
    const float inverse = 1.0f / std::sqrt(squares * scale + eps);
#pragma omp simd
    for (std::int64_t i = 0; i < cols; ++i) y[i] = (z[i] - mean) * inverse * gamma[i] + beta[i];
  }
}

CAPDIFF_SIMD_CLONES void softmax_rows(const float* x, float* y, std::int64_t rows, std::int64_t cols) {
  for (std::int64_t r = 0; r < rows; ++r, x += cols, y += cols) {
    float highest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : highest)
    for (std::int64_t i = 0; i < cols; ++i) highest = x[i] > highest ? x[i] : highest;
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < cols; ++i) {
      y[i] = exp_simd(x[i] - highest);
      sum += y[i];
    }
    const float inverse = 1.0f / sum;
#pragma omp simd
    for (std::int64_t i = 0; i < cols; ++i) y[i] *= inverse;
  }
}

CAPDIFF_SIMD_CLONES void max_rows(const float* x, float* y, std::int64_t rows, std::int64_t cols) {
  for (std::int64_t r = 0; r < rows; ++r, x += cols) {
    float highest = -std::numeric_limits<float>::infinity();
    int unordered = 0;
#pragma omp simd reduction(max : highest) reduction(| : unordered)
    for (std::int64_t i = 0; i < cols; ++i) {
      highest = x[i] > highest ? x[i] : highest;
      unordered |= x[i] != x[i];
    }
    y[r] = unordered ? std::numeric_limits<float>::quiet_NaN() : highest;
  }
}

CAPDIFF_SIMD_CLONES void l2_normalize_rows(const float* x, float* y, std::int64_t rows, std::int64_t cols) {
  for (std::int64_t r = 0; r < rows; ++r, x += cols, y += cols) {
    float squares = 0.0f;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t i = 0; i < cols; ++i) squares += x[i] * x[i];
    const float norm = std::sqrt(squares);
    const float inverse = 1.0f / (norm < 1e-12f ? 1e-12f : norm);
#pragma omp simd
    for (std::int64_t i = 0; i < cols; ++i) y[i] = x[i] * inverse;
  }
}

}  // namespace capdiff::onednn
