#pragma once

#include "capdiff/backends/torch/torch_headers.h"

namespace capdiff::torch_detail {

/// LayerNorm over the last axis of the sum of two bf16 tensors of one shape, with gamma and beta f32 [D], in one pass.
/// Undefined where there is no kernel for it: on other devices, for other layouts, without a CUDA compiler.
torch::Tensor fused_add_layer_norm(const torch::Tensor& x, const torch::Tensor& residual, const torch::Tensor& gamma,
                                   const torch::Tensor& beta, float eps);

}  // namespace capdiff::torch_detail
