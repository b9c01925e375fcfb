#include <fmt/ranges.h>

#include <algorithm>

#include "capdiff/backends/torch/operation.h"
#include "capdiff/backends/torch/torch_backend.h"

namespace capdiff {
namespace {

using torch_detail::check_broadcast;
using torch_detail::check_dtype;
using torch_detail::check_range;
using torch_detail::check_same_shape;
using torch_detail::compute;
using torch_detail::wide;

/// The axis counted from the front.
int checked_axis(std::string_view operation, const Shape& shape, int axis) {
  const int rank = static_cast<int>(shape.rank());
  if (axis < -rank || axis >= rank)
    fail(ErrorCode::internal, "[{}] axis {} of a value of shape {}", operation, axis, to_string(shape));
  return axis < 0 ? axis + rank : axis;
}

/// Reductions over the last axis need something to reduce.
void check_columns(std::string_view operation, const Shape& shape) {
  if (shape.rank() == 0 || shape.cols() == 0)
    fail(ErrorCode::internal, "[{}] a value of shape {} has no columns", operation, to_string(shape));
}

}  // namespace

Value TorchBackend::add(const Value& a, const Value& b) {
  return compute("add", [&] {
    check_broadcast("add", a.shape(), b.shape());
    return tensor(a) + tensor(b);
  });
}

Value TorchBackend::mul(const Value& a, const Value& b) {
  return compute("mul", [&] {
    check_broadcast("mul", a.shape(), b.shape());
    return tensor(a) * tensor(b);
  });
}

Value TorchBackend::scale_add(float alpha, const Value& a, float beta, const Value& b) {
  return compute("scale_add", [&] {
    check_broadcast("scale_add", a.shape(), b.shape());
    return torch::add(wide(tensor(a)) * alpha, tensor(b), beta);
  });
}

Value TorchBackend::select(const Value& mask, const Value& a, const Value& b) {
  return compute("select", [&] {
    check_broadcast("select", a.shape(), b.shape());
    check_broadcast("select", mask.shape(), a.shape());
    check_broadcast("select", mask.shape(), b.shape());
    return torch::where(tensor(mask) != 0, wide(tensor(a)), wide(tensor(b)));
  });
}

Value TorchBackend::activation(const Value& x, Activation activation) {
  return compute("activation", [&] { return torch_detail::activate(tensor(x), activation); });
}

Value TorchBackend::reshape(const Value& x, const Shape& shape) {
  return compute("reshape", [&] {
    if (shape.numel() != x.shape().numel())
      fail(ErrorCode::internal, "[reshape] a value of shape {} cannot become {}", to_string(x.shape()),
           to_string(shape));
    return tensor(x).reshape(shape.sizes());
  });
}

Value TorchBackend::permute(const Value& x, std::span<const int> axes) {
  return compute("permute", [&] {
    std::vector<std::int64_t> order(axes.begin(), axes.end()), sorted = order;
    std::sort(sorted.begin(), sorted.end());
    bool valid = sorted.size() == x.shape().rank();
    for (std::size_t i = 0; valid && i < sorted.size(); ++i) valid = sorted[i] == static_cast<std::int64_t>(i);
    if (!valid)
      fail(ErrorCode::internal, "[permute] [{}] is no order of the axes of a value of shape {}", fmt::join(order, ", "),
           to_string(x.shape()));
    return tensor(x).permute(order);
  });
}

Value TorchBackend::concat(std::span<const Value> values, int axis) {
  return compute("concat", [&] {
    if (values.empty()) fail(ErrorCode::internal, "[concat] no values");
    const Shape& first = values.front().shape();
    const auto along = static_cast<std::size_t>(checked_axis("concat", first, axis));
    std::vector<torch::Tensor> tensors;
    for (const Value& value : values) {
      std::vector<std::int64_t> sizes = value.shape().sizes();
      if (sizes.size() == first.rank()) sizes[along] = first.sizes()[along];
      if (sizes != first.sizes() || value.dtype() != values.front().dtype())
        fail(ErrorCode::internal, "[concat] values of shapes {} and {} do not join along axis {}", to_string(first),
             to_string(value.shape()), axis);
      tensors.push_back(tensor(value));
    }
    const auto type = [](const torch::Tensor& x) { return x.scalar_type(); };
    if (!std::ranges::all_of(tensors, [&](const torch::Tensor& x) { return type(x) == type(tensors.front()); }))
      for (torch::Tensor& tensor : tensors) tensor = wide(tensor);
    return torch::cat(tensors, static_cast<std::int64_t>(along));
  });
}

Value TorchBackend::slice(const Value& x, int axis, std::int64_t begin, std::int64_t end) {
  return compute("slice", [&] {
    const int along = checked_axis("slice", x.shape(), axis);
    if (begin < 0 || end < begin || end > x.shape()[along])
      fail(ErrorCode::internal, "[slice] elements {} to {} along axis {} of a value of shape {}", begin, end, axis,
           to_string(x.shape()));
    return tensor(x).slice(along, begin, end);
  });
}

Value TorchBackend::gather(const Value& x, const Value& indices) {
  return compute("gather", [&] {
    check_dtype("gather", "indices", indices, DType::i64);
    if (x.shape().rank() == 0 || indices.shape().rank() != 1)
      fail(ErrorCode::internal, "[gather] x has the shape {}, the indices {}, expected [N, …] and [n]",
           to_string(x.shape()), to_string(indices.shape()));
    check_range("gather", "index", indices, 0, x.shape()[0], ErrorCode::internal);
    return tensor(x).index_select(0, tensor(indices));
  });
}

Value TorchBackend::softmax(const Value& x) {
  return compute("softmax", [&] {
    check_columns("softmax", x.shape());
    return wide(tensor(x)).softmax(-1);
  });
}

Value TorchBackend::max(const Value& x) {
  return compute("max", [&] {
    check_columns("max", x.shape());
    return std::get<0>(tensor(x).max(-1));
  });
}

Value TorchBackend::argmax(const Value& x) {
  return compute("argmax", [&] {
    check_columns("argmax", x.shape());
    return tensor(x).argmax(-1);
  });
}

std::pair<Value, Value> TorchBackend::top_k(const Value& x, std::int64_t k) {
  return torch_detail::guarded("top_k", [&] {
    check_columns("top_k", x.shape());
    if (k < 1 || k > x.shape().cols())
      fail(ErrorCode::internal, "[top_k] the {} largest of {} columns", k, x.shape().cols());
    // torch::topk breaks ties as it likes, at the boundary too; a stable sort keeps the lowest index first.
    const auto [sorted, order] = torch::sort(tensor(x), /*stable=*/c10::optional<bool>(true), -1, /*descending=*/true);
    return std::pair(value(sorted.slice(-1, 0, k)), value(order.slice(-1, 0, k)));
  });
}

Value TorchBackend::l2_normalize(const Value& x) {
  return compute("l2_normalize", [&] {
    check_columns("l2_normalize", x.shape());
    const torch::Tensor rows = wide(tensor(x));
    return rows / rows.norm(2, -1, /*keepdim=*/true).clamp_min(1e-12);
  });
}

Value TorchBackend::mean(const Value& x, int axis) {
  return compute("mean", [&] {
    const int along = checked_axis("mean", x.shape(), axis);
    if (x.shape()[along] == 0) fail(ErrorCode::internal, "[mean] a value of shape {}", to_string(x.shape()));
    return wide(tensor(x)).mean(along);
  });
}

Value TorchBackend::mean_squared_error(const Value& a, const Value& b) {
  return compute("mean_squared_error", [&] {
    check_same_shape("mean_squared_error", a.shape(), b.shape());
    return torch::mse_loss(wide(tensor(a)), wide(tensor(b)));
  });
}

Value TorchBackend::mean_l2_distance(const Value& a, const Value& b) {
  return compute("mean_l2_distance", [&] {
    check_same_shape("mean_l2_distance", a.shape(), b.shape());
    check_columns("mean_l2_distance", a.shape());
    // torch defines the gradient of the norm at 0 as 0.
    return (wide(tensor(a)) - wide(tensor(b))).norm(2, -1).mean();
  });
}

Value TorchBackend::cross_entropy(const Value& logits, const Value& targets, float smoothing) {
  return compute("cross_entropy", [&] {
    check_columns("cross_entropy", logits.shape());
    check_dtype("cross_entropy", "targets", targets, DType::i64);
    const std::int64_t classes = logits.shape().cols();
    if (logits.shape().rank() != targets.shape().rank() + 1 ||
        !std::equal(targets.shape().sizes().begin(), targets.shape().sizes().end(), logits.shape().sizes().begin()))
      fail(ErrorCode::internal, "[cross_entropy] logits of shape {} and targets of shape {}, expected […, V] and […]",
           to_string(logits.shape()), to_string(targets.shape()));
    const torch::Tensor flat = tensor(targets).reshape({targets.shape().numel()});
    check_range("cross_entropy", "target", targets, -1, classes, ErrorCode::invalid_input);
    const torch::Tensor sum =
        at::cross_entropy_loss(wide(tensor(logits)).reshape({flat.numel(), classes}), flat,
                               /*weight=*/{}, at::Reduction::Sum, /*ignore_index=*/-1, static_cast<double>(smoothing));
    return sum / (flat != -1).sum().clamp_min(1);
  });
}

}  // namespace capdiff
