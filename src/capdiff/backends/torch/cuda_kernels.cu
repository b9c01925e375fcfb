#include "capdiff/backends/torch/cuda_kernels.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

namespace capdiff::cuda_kernels {
namespace {

constexpr int kWarp = 32;
constexpr int kThreads = 256;

/// The sum over all threads of a block, in each of them.
__device__ float block_sum(float value, float* of_warp) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  __syncthreads();  // an earlier sum may still be read
  if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = value;
  __syncthreads();
  float sum = 0.0f;
  for (int warp = 0; warp < kThreads / kWarp; ++warp) sum += of_warp[warp];
  return sum;
}

/// One block a row, whose sum stays in shared memory; every thread reads back only what it wrote.
__global__ void add_layer_norm_rows(const __nv_bfloat162* x, const __nv_bfloat162* residual, const float2* gamma,
                                    const float2* beta, float eps, __nv_bfloat162* y, int pairs) {
  extern __shared__ float2 z[];
  __shared__ float of_warp[kThreads / kWarp];
  const long long begin = static_cast<long long>(blockIdx.x) * pairs;
  const float scale = 0.5f / static_cast<float>(pairs);
  float sum = 0.0f;
  for (int i = threadIdx.x; i < pairs; i += kThreads) {
    const float2 a = __bfloat1622float2(x[begin + i]), b = __bfloat1622float2(residual[begin + i]);
    z[i] = make_float2(a.x + b.x, a.y + b.y);
    sum += z[i].x + z[i].y;
  }
  const float mean = block_sum(sum, of_warp) * scale;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < pairs; i += kThreads) {
    const float u = z[i].x - mean, v = z[i].y - mean;
    squares += u * u + v * v;
  }
  const float inverse = rsqrtf(block_sum(squares, of_warp) * scale + eps);
  for (int i = threadIdx.x; i < pairs; i += kThreads)
    y[begin + i] = __floats2bfloat162_rn((z[i].x - mean) * inverse * gamma[i].x + beta[i].x,
                                         (z[i].y - mean) * inverse * gamma[i].y + beta[i].y);
}

}  // namespace

void add_layer_norm(const void* x, const void* residual, const float* gamma, const float* beta, float eps, void* y,
                    std::int64_t rows, std::int64_t width, void* stream) {
  const int pairs = static_cast<int>(width / 2);
  add_layer_norm_rows<<<static_cast<unsigned>(rows), kThreads, static_cast<std::size_t>(pairs) * sizeof(float2),
                        static_cast<cudaStream_t>(stream)>>>(
      static_cast<const __nv_bfloat162*>(x), static_cast<const __nv_bfloat162*>(residual),
      reinterpret_cast<const float2*>(gamma), reinterpret_cast<const float2*>(beta), eps,
      static_cast<__nv_bfloat162*>(y), pairs);
}

}  // namespace capdiff::cuda_kernels
