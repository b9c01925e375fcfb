#pragma once

#include <cstdint>
#include <vector>

#include "capdiff/backends/backend.h"

namespace capdiff::onednn {

// Linear layers in 8 bits. A row of weights, one output channel, is w ≈ scale · q with q in [−127, 127]; a row of
// activations is x ≈ scale · (u − zero) with u in [0, 255], its range chosen as it comes. The product of the integers
// is exact, so a row's result is the same bits whatever its neighbours are. Row-major data, for one thread each.

/// The 32-bit sums of more columns could overflow: 255 · 127 · 65536 < 2³¹.
inline constexpr std::int64_t kMaxInt8Columns = 65536;

/// Output channels: w ≈ scale · q, and the sum of a channel's q. Both [out].
struct WeightScales {
  std::vector<float> scale;
  std::vector<std::int32_t> sum;
};

/// A row of activations: x ≈ scale · (u − zero).
struct RowScale {
  float scale = 0.0f;
  std::int32_t zero = 0;
};

/// w [rows, cols] → q [rows, cols], scale [rows] and sum [rows]. A row with NaN or infinity has the scale NaN.
void quantize_weights(const float* w, std::int8_t* q, float* scale, std::int32_t* sum, std::int64_t rows,
                      std::int64_t cols);

/// x [rows, cols] → u [rows, cols] and scales [rows]. A row with NaN or infinity has the scale NaN.
void quantize_rows(const float* x, std::uint8_t* u, RowScale* scales, std::int64_t rows, std::int64_t cols);

/// What remains of a linear layer after the product of the integers.
struct Int8Epilogue {
  const RowScale* rows = nullptr;          ///< [rows]
  const WeightScales* channels = nullptr;  ///< of cols channels
  const float* bias = nullptr;             ///< [cols], or null
  Activation activation = Activation::none;
  const float* residual = nullptr;  ///< [rows, cols], or null
};

/// Turns y [rows, cols] from the bits of Σ u q (s32) into activation(x Wᵀ + bias) + residual.
void finish_int8_rows(const Int8Epilogue& epilogue, float* y, std::int64_t rows, std::int64_t cols);

}  // namespace capdiff::onednn
