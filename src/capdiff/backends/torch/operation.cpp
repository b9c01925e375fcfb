#include "capdiff/backends/torch/operation.h"

#include <algorithm>

#include "capdiff/backends/torch/torch_storage.h"

namespace capdiff::torch_detail {

void check_broadcast(std::string_view operation, const Shape& a, const Shape& b) {
  const auto &p = a.sizes(), &q = b.sizes();
  for (std::size_t i = 1; i <= std::min(p.size(), q.size()); ++i) {
    const std::int64_t m = p[p.size() - i], n = q[q.size() - i];
    if (m != n && m != 1 && n != 1)
      fail(ErrorCode::internal, "[{}] the shapes {} and {} do not broadcast", operation, to_string(a), to_string(b));
  }
}

void check_same_shape(std::string_view operation, const Shape& a, const Shape& b) {
  if (!(a == b)) fail(ErrorCode::internal, "[{}] the shapes {} and {} differ", operation, to_string(a), to_string(b));
}

void check_dtype(std::string_view operation, std::string_view operand, const Value& value, DType dtype) {
  if (value.dtype() != dtype)
    fail(ErrorCode::internal, "[{}] {} is {}, expected {}", operation, operand, name_of(value.dtype()), name_of(dtype));
}

void check_range(std::string_view operation, std::string_view operand, const Value& ids, std::int64_t begin,
                 std::int64_t end, ErrorCode code) {
  if (ids.shape().numel() == 0) return;
  const TorchStorage& storage = TorchStorage::of(ids);
  const auto [lowest, highest] = storage.range() ? *storage.range()
                                                 : std::pair(storage.tensor().min().item<std::int64_t>(),
                                                             storage.tensor().max().item<std::int64_t>());
  if (lowest < begin || highest >= end)
    fail(code, "[{}] {} {} is outside [{}, {})", operation, operand, lowest < begin ? lowest : highest, begin, end);
}

torch::Tensor activate(const torch::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::none: return x;
    case Activation::gelu: return torch::gelu(x);
    case Activation::quick_gelu: return x * torch::sigmoid(1.702 * x);
    case Activation::relu: return torch::relu(x);
    case Activation::relu6: return torch::clamp(x, 0.0, 6.0);
    case Activation::tanh: return torch::tanh(x);
    case Activation::silu: return torch::silu(x);
  }
  fail(ErrorCode::internal, "[activation] unknown activation {}", static_cast<int>(activation));
}

}  // namespace capdiff::torch_detail
