#include "capdiff/backends/torch/torch_storage.h"

#include "capdiff/base/error.h"

namespace capdiff::torch_detail {

const torch::Tensor& TorchStorage::rounded() const {
  const auto version = static_cast<std::int64_t>(tensor_._version());
  if (!rounded_.defined() || rounded_version_ != version) {
    rounded_ = tensor_.to(at::kBFloat16);
    rounded_version_ = version;
  }
  return rounded_;
}

const TorchStorage& TorchStorage::of(const Value& value) {
  const auto* storage = dynamic_cast<const TorchStorage*>(value.storage().get());
  if (!storage)
    fail(ErrorCode::internal, "{} where the torch backend expects one of its own",
         value ? "a foreign value" : "an empty value");
  return *storage;
}

}  // namespace capdiff::torch_detail
