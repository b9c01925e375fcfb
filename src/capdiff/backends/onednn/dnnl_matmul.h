#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "capdiff/backends/backend.h"

namespace capdiff::onednn {

/// What a matrix product y = activation(x Wᵀ + b) + residual looks like, apart from its numbers.
struct MatmulSpec {
  std::int64_t rows = 0, in = 0, out = 0;
  /// Type of x and W; sums, b, residual and y are f32. With i8, W is s8, x is u8 and y takes the s32 sums alone: no
  /// bias, no activation, no residual.
  DType compute = DType::f32;
  bool bias = false;
  Activation activation = Activation::none;
  bool residual = false;
  int threads = 1;

  auto operator<=>(const MatmulSpec&) const = default;
};

/// Pointers to row-major data: x [rows, in], bias [out], residual and y [rows, out]; y has the bits of s32 with i8.
struct MatmulArguments {
  const void* x = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
  float* y = nullptr;
};

/// W in the layout that oneDNN's matrix product wants on this processor.
class PackedWeights;

/// oneDNN's matrix product with cached primitives. May be used from several threads at once.
class Matmul {
 public:
  Matmul();
  ~Matmul();

  /// Whether this processor has kernels for x and W of this type; for i8, whether they are exact too: without VNNI
  /// oneDNN adds pairs of products in 16 bits, which overflow.
  static bool supports(DType compute);

  /// Packs W, row-major [out, in] of type `compute`; the layout serves every number of rows.
  static std::shared_ptr<const PackedWeights> pack(const void* weights, std::int64_t out, std::int64_t in,
                                                   DType compute, int threads);

  /// Inside an OpenMP region it runs on the calling thread, outside on `spec.threads` threads. Returns false where
  /// oneDNN would leave its optimised kernels for the activation and the residual: they then remain for the caller.
  [[nodiscard]] bool run(const MatmulSpec& spec, const PackedWeights& weights, const MatmulArguments& arguments);

 private:
  struct Kernel;
  std::shared_ptr<const Kernel> kernel(const MatmulSpec& spec, const PackedWeights& weights);

  std::mutex mutex_;
  std::map<MatmulSpec, std::shared_ptr<const Kernel>> kernels_;
};

}  // namespace capdiff::onednn
