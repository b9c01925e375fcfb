#include "capdiff/backends/torch/fused_layer_norm.h"

#ifdef CAPDIFF_HAVE_CUDA_KERNELS  // the build has a CUDA compiler
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include "capdiff/backends/torch/cuda_kernels.h"
#endif

namespace capdiff::torch_detail {

#ifdef CAPDIFF_HAVE_CUDA_KERNELS

torch::Tensor fused_add_layer_norm(const torch::Tensor& x, const torch::Tensor& residual, const torch::Tensor& gamma,
                                   const torch::Tensor& beta, float eps) {
  const std::int64_t width = x.size(-1);
  const auto fits = [](const torch::Tensor& tensor, at::ScalarType type) {
    return tensor.is_cuda() && tensor.scalar_type() == type && tensor.is_contiguous();
  };
  if (!fits(x, at::kBFloat16) || !fits(residual, at::kBFloat16) || !fits(gamma, at::kFloat) ||
      !fits(beta, at::kFloat) || x.numel() == 0 || width % 2 != 0 || width > cuda_kernels::kMaxLayerNormWidth)
    return {};
  torch::Tensor y = torch::empty_like(x);
  cuda_kernels::add_layer_norm(x.data_ptr(), residual.data_ptr(), gamma.data_ptr<float>(), beta.data_ptr<float>(), eps,
                               y.data_ptr(), x.numel() / width, width, c10::cuda::getCurrentCUDAStream().stream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return y;
}

#else

torch::Tensor fused_add_layer_norm(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&,
                                   const torch::Tensor&, float) {
  return {};
}

#endif

}  // namespace capdiff::torch_detail
