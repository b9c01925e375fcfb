#pragma once

#include <memory>
#include <optional>

#include "capdiff/backends/onednn/dnnl_conv.h"
#include "capdiff/backends/onednn/dnnl_matmul.h"
#include "capdiff/backends/onednn/kernels_int8.h"
#include "capdiff/tensor/host_tensor.h"

namespace capdiff::onednn {

/// What `bind_linear` makes.
struct LinearLayer final : Packed::Storage {
  DType compute = DType::f32;  // type of the packed weights
  std::shared_ptr<const PackedWeights> weights;
  WeightScales scales;             // empty unless the weights are i8
  std::optional<HostTensor> bias;  // f32 [out]
};

/// What `bind_conv2d` makes.
struct ConvLayer final : Packed::Storage {
  ConvLayer(HostTensor weight, std::optional<HostTensor> bias, std::int64_t group_count)
      : weights(std::move(weight), std::move(bias)), groups(group_count) {}

  ConvWeights weights;
  std::int64_t groups;
};

}  // namespace capdiff::onednn
