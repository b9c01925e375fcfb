#include "capdiff/backends/onednn/kernels_int8.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "capdiff/backends/onednn/kernels.h"
#include "capdiff/backends/onednn/simd.h"

namespace capdiff::onednn {
namespace {

/// Scales have a finite inverse: below 10⁻³⁷ per step values count as 0.
constexpr float kSmallestScale = 1e-37f;

/// The nearest integer, ties to even, of |x| < 2²²: adding 1.5 · 2²³ leaves it in the lowest bits of the mantissa.
[[gnu::always_inline]] inline std::int32_t nearest(float x) {
  constexpr float kShift = 12582912.0f;
  return std::bit_cast<std::int32_t>(x + kShift) - std::bit_cast<std::int32_t>(kShift);
}

struct Range {
  float low = 0.0f, high = 0.0f;  ///< with 0 between them
  bool finite = true;
};

[[gnu::always_inline]] inline Range range_of(const float* x, std::int64_t n) {
  float low = 0.0f, high = 0.0f;
  std::int32_t magnitude = 0;
#pragma omp simd reduction(min : low) reduction(max : high, magnitude)
  for (std::int64_t i = 0; i < n; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
    magnitude = std::max(magnitude, std::bit_cast<std::int32_t>(x[i]) & 0x7fffffff);
  }
  return {low, high, magnitude < std::bit_cast<std::int32_t>(std::numeric_limits<float>::infinity())};
}

/// u = x · inverse + zero, rounded. By blocks of integers: a loop from floats to bytes would become one of short
/// vectors.
[[gnu::always_inline]] inline void round_row(const float* x, float inverse, float zero, std::uint8_t* u,
                                             std::int64_t n) {
  constexpr std::int64_t kBlock = 256;
  std::array<std::int32_t, kBlock> block;
  for (std::int64_t first = 0; first < n; first += kBlock) {
    const std::int64_t count = std::min(kBlock, n - first);
    std::int32_t* const integers = block.data();
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) integers[i] = std::clamp(nearest(x[first + i] * inverse + zero), 0, 255);
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) u[first + i] = static_cast<std::uint8_t>(integers[i]);
  }
}

}  // namespace

CAPDIFF_SIMD_CLONES void quantize_weights(const float* w, std::int8_t* q, float* scale, std::int32_t* sum,
                                          std::int64_t rows, std::int64_t cols) {
  for (std::int64_t r = 0; r < rows; ++r, w += cols, q += cols) {
    const Range range = range_of(w, cols);
    const float step = std::max(std::max(range.high, -range.low) / 127.0f, kSmallestScale);
    const float inverse = 1.0f / step;
    std::int32_t total = 0;
#pragma omp simd reduction(+ : total)
    for (std::int64_t i = 0; i < cols; ++i) {
      const std::int32_t value = std::clamp(nearest(w[i] * inverse), -127, 127);
      q[i] = static_cast<std::int8_t>(value);
      total += value;
    }
    scale[r] = range.finite ? step : std::numeric_limits<float>::quiet_NaN();
    sum[r] = total;
  }
}

CAPDIFF_SIMD_CLONES void quantize_rows(const float* x, std::uint8_t* u, RowScale* scales, std::int64_t rows,
                                       std::int64_t cols) {
  for (std::int64_t r = 0; r < rows; ++r, x += cols, u += cols) {
    const Range range = range_of(x, cols);
    const float scale = std::max(range.high / 255.0f - range.low / 255.0f, kSmallestScale);
    const float inverse = range.finite ? 1.0f / scale : 0.0f;
    const std::int32_t zero = std::clamp(nearest(-range.low * inverse), 0, 255);
    round_row(x, inverse, static_cast<float>(zero), u, cols);
    scales[r] = {range.finite ? scale : std::numeric_limits<float>::quiet_NaN(), zero};
  }
}

CAPDIFF_SIMD_CLONES void finish_int8_rows(const Int8Epilogue& epilogue, float* y, std::int64_t rows,
                                          std::int64_t cols) {
  const float* const channel_scale = epilogue.channels->scale.data();
  const std::int32_t* const channel_sum = epilogue.channels->sum.data();
  for (std::int64_t r = 0; r < rows; ++r, y += cols) {
    const RowScale row = epilogue.rows[r];
    const auto scaled = [&](std::int64_t i) {
      const std::int32_t sum = std::bit_cast<std::int32_t>(y[i]) - row.zero * channel_sum[i];
      return static_cast<float>(sum) * channel_scale[i] * row.scale;
    };
    if (const float* const bias = epilogue.bias) {
#pragma omp simd
      for (std::int64_t i = 0; i < cols; ++i) y[i] = scaled(i) + bias[i];
    } else {
#pragma omp simd
      for (std::int64_t i = 0; i < cols; ++i) y[i] = scaled(i);
    }
    activate(epilogue.activation, y, y, cols);
    if (epilogue.residual) accumulate(epilogue.residual + r * cols, y, cols);
  }
}

}  // namespace capdiff::onednn
