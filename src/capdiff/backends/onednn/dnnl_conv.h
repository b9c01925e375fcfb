#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "capdiff/backends/backend.h"

namespace capdiff::onednn {

/// What a convolution looks like, apart from its numbers. Images are channels-last.
struct ConvSpec {
  std::int64_t batch = 0, height = 0, width = 0, in = 0;
  std::int64_t out_height = 0, out_width = 0, out = 0;
  std::int64_t kernel_height = 0, kernel_width = 0;
  std::int64_t stride = 1, groups = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  DType compute = DType::f32;  ///< type of x and weights; sums, bias and y are f32
  bool bias = false;
  Activation activation = Activation::none;
  int threads = 1;

  auto operator<=>(const ConvSpec&) const = default;
};

/// Weights [out, in / groups, kh, kw] and the layouts of them that the convolutions met so far asked for.
class ConvWeights {
 public:
  /// Both f32; bias [out].
  ConvWeights(HostTensor weights, std::optional<HostTensor> bias);
  ~ConvWeights();

  const float* bias() const { return bias_ ? bias_->values<float>().data() : nullptr; }

 private:
  friend class Conv;
  struct Layouts;
  HostTensor weights_;
  std::optional<HostTensor> bias_;
  std::unique_ptr<Layouts> layouts_;
};

/// oneDNN's convolution with cached primitives. May be used from several threads at once.
class Conv {
 public:
  Conv();
  ~Conv();

  /// Whether this processor has a kernel for the convolution in `spec.compute`.
  bool supports(const ConvSpec& spec);

  /// x [batch, height, width, in] of type `spec.compute` → y f32 [batch, out_height, out_width, out].
  void run(const ConvSpec& spec, const ConvWeights& weights, const void* x, float* y);

 private:
  struct Kernel;
  std::shared_ptr<const Kernel> kernel(const ConvSpec& spec);

  std::mutex mutex_;
  std::map<ConvSpec, std::shared_ptr<const Kernel>> kernels_;
  std::map<ConvSpec, bool> supported_;
};

}  // namespace capdiff::onednn
