#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "capdiff/backends/backend.h"
#include "capdiff/backends/torch/torch_headers.h"

namespace capdiff::torch_detail {

/// The storage of a Value of the torch backend.
class TorchStorage final : public Value::Storage {
 public:
  /// The lowest and the highest element.
  using Range = std::optional<std::pair<std::int64_t, std::int64_t>>;

  explicit TorchStorage(torch::Tensor tensor, Range range = {}) : tensor_(std::move(tensor)), range_(range) {}

  const torch::Tensor& tensor() const { return tensor_; }
  /// Of integers that were uploaded: known without asking the device.
  const Range& range() const { return range_; }
  /// A bf16 copy, kept until the tensor is written to: of parameters that are read again and again.
  const torch::Tensor& rounded() const;

  /// The storage of `value`, which must have come from a TorchBackend.
  static const TorchStorage& of(const Value& value);

 private:
  torch::Tensor tensor_;
  Range range_;
  mutable torch::Tensor rounded_;
  mutable std::int64_t rounded_version_ = 0;
};

}  // namespace capdiff::torch_detail
