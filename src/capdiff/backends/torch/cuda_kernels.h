#pragma once

#include <cstdint>

namespace capdiff::cuda_kernels {

/// The widest rows of `add_layer_norm`, which have an even width: what a block's shared memory holds.
inline constexpr std::int64_t kMaxLayerNormWidth = 8192;

/// y = gamma · (z − mean(z)) / sqrt(var(z) + eps) + beta over rows of z = x + residual, in f32 between bf16 [rows,
/// width] of x, residual and y; gamma and beta f32 [width]. Pointers are those of the device, `stream` is a
/// cudaStream_t.
void add_layer_norm(const void* x, const void* residual, const float* gamma, const float* beta, float eps, void* y,
                    std::int64_t rows, std::int64_t width, void* stream);

}  // namespace capdiff::cuda_kernels
