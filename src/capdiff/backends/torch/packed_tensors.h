#pragma once

#include <cstdint>
#include <vector>

#include "capdiff/backends/torch/torch_backend.h"

namespace capdiff::torch_detail {

/// The storage of a `Packed`: the leaves of one linear layer or convolution, and what products read of them.
class PackedTensors final : public Packed::Storage {
 public:
  /// Weights in the type of the product; the bias, undefined where there is none.
  struct Prepared {
    torch::Tensor weight;
    torch::Tensor bias;
  };

  PackedTensors(std::vector<torch::Tensor> weights, std::vector<torch::Tensor> biases, std::int64_t groups = 1)
      : weights_(std::move(weights)), biases_(std::move(biases)), groups_(groups) {}

  /// The leaves stacked along `out`, weights cast to `type`, biases to `bias_type`. If any leaf is trainable this
  /// happens in every call: autograd has to see it, and optimisers may write past torch's counting of writes. Otherwise
  /// the result is kept until a leaf is written to.
  Prepared prepare(at::ScalarType type, at::ScalarType bias_type = at::kFloat) const;
  std::int64_t groups() const { return groups_; }

  /// The tensors behind `packed`, which must have come from a `TorchBackend`.
  static const PackedTensors& of(const Packed& packed);

 private:
  /// How often each leaf was written to, as torch counts it.
  std::vector<std::uint64_t> versions() const;

  std::vector<torch::Tensor> weights_;
  std::vector<torch::Tensor> biases_;
  std::int64_t groups_;
  mutable Prepared kept_;
  mutable std::vector<std::uint64_t> kept_versions_;
};

}  // namespace capdiff::torch_detail
