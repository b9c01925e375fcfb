#include "capdiff/backends/torch/libtorch_version.h"

#include <torch/version.h>

#include <cmath>
#include <limits>

namespace capdiff::torch_detail {

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 1)

torch::Tensor fused_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, bool causal) {
  return at::scaled_dot_product_attention(q, k, v, /*attn_mask=*/{}, /*dropout_p=*/0.0, causal);
}

#else

torch::Tensor fused_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, bool causal) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(-1)));
  // Scores in f32, as the fused kernels keep them.
  torch::Tensor scores = torch::matmul(q.to(at::kFloat) * scale, k.transpose(-1, -2).to(at::kFloat));
  if (causal) {
    const auto later = torch::ones({q.size(-2), k.size(-2)}, torch::dtype(at::kBool).device(q.device())).triu(1);
    scores = scores.masked_fill(later, -std::numeric_limits<float>::infinity());
  }
  return torch::matmul(scores.softmax(-1).to(v.scalar_type()), v);
}

#endif

}  // namespace capdiff::torch_detail
