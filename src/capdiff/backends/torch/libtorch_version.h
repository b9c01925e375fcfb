#pragma once

#include "capdiff/backends/torch/torch_headers.h"

/// What differs between the versions of LibTorch that the project is built with, from 1.13 on.
namespace capdiff::torch_detail {

/// softmax(q kᵀ / √d) v of bf16 [B, heads, Lq, d], [B, heads, Lk, d] and [B, heads, Lk, dv] → [B, heads, Lq, dv]; where
/// `causal`, query i sees keys 0..i only. LibTorch 2.1 and later fuse it, without a matrix of scores in memory.
torch::Tensor fused_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, bool causal);

}  // namespace capdiff::torch_detail
