#include "capdiff/backends/torch/packed_tensors.h"

#include <algorithm>

#include "capdiff/base/error.h"

namespace capdiff::torch_detail {
namespace {

torch::Tensor stacked(const std::vector<torch::Tensor>& tensors, at::ScalarType type) {
  if (tensors.empty()) return {};
  return (tensors.size() == 1 ? tensors.front() : torch::cat(tensors, 0)).to(type);
}

}  // namespace

PackedTensors::Prepared PackedTensors::prepare(at::ScalarType type, at::ScalarType bias_type) const {
  const auto requires_grad = [](const torch::Tensor& tensor) { return tensor.requires_grad(); };
  if (std::any_of(weights_.begin(), weights_.end(), requires_grad) ||
      std::any_of(biases_.begin(), biases_.end(), requires_grad)) {
    kept_ = {};
    return {stacked(weights_, type), stacked(biases_, bias_type)};
  }
  const auto current = versions();
  if (!kept_.weight.defined() || kept_versions_ != current || kept_.weight.scalar_type() != type ||
      (kept_.bias.defined() && kept_.bias.scalar_type() != bias_type)) {
    kept_ = {stacked(weights_, type), stacked(biases_, bias_type)};
    kept_versions_ = current;
  }
  return kept_;
}

const PackedTensors& PackedTensors::of(const Packed& packed) {
  const auto* storage = dynamic_cast<const PackedTensors*>(packed.storage().get());
  if (!storage) fail(ErrorCode::internal, "weights that the torch backend did not bind");
  return *storage;
}

std::vector<std::uint64_t> PackedTensors::versions() const {
  std::vector<std::uint64_t> versions;
  versions.reserve(weights_.size() + biases_.size());
  for (const auto& weight : weights_) versions.push_back(static_cast<std::uint64_t>(weight._version()));
  for (const auto& bias : biases_) versions.push_back(static_cast<std::uint64_t>(bias._version()));
  return versions;
}

}  // namespace capdiff::torch_detail
