#include <algorithm>
#include <cmath>
#include <limits>

#include "capdiff/backends/torch/fused_layer_norm.h"
#include "capdiff/backends/torch/libtorch_version.h"
#include "capdiff/backends/torch/operation.h"
#include "capdiff/backends/torch/packed_tensors.h"
#include "capdiff/backends/torch/torch_backend.h"
#include "capdiff/backends/torch/torch_storage.h"

namespace capdiff {
namespace {

using torch_detail::check_dtype;
using torch_detail::check_same_shape;
using torch_detail::compute;
using torch_detail::PackedTensors;
using torch_detail::TorchStorage;

/// a b with the operands rounded to `type` and the result in f32.
torch::Tensor product(const torch::Tensor& a, const torch::Tensor& b, at::ScalarType type) {
  return torch::matmul(a.to(type), b.to(type)).to(at::kFloat);
}

/// The keys that each query may not see, as a boolean that broadcasts to [Bk, heads, share, Lq, Lk]; undefined where
/// all may be seen.
torch::Tensor hidden_keys(const AttentionOptions& options, std::int64_t key_batch, std::int64_t length,
                          torch::Device device) {
  torch::Tensor hidden;
  if (options.key_mask) hidden = (TorchBackend::tensor(options.key_mask) == 0).reshape({key_batch, 1, 1, 1, -1});
  if (options.causal) {
    const auto later = torch::ones({length, length}, torch::dtype(at::kBool).device(device)).triu(1);
    hidden = hidden.defined() ? hidden.logical_or(later) : later;
  }
  return hidden;
}

void check_attention(const Shape& q, const Shape& k, const Shape& v, const AttentionOptions& options) {
  const auto shapes = [&] { return to_string(q) + ", " + to_string(k) + " and " + to_string(v); };
  if (q.rank() != 3 || k.rank() != 3 || v.rank() != 3 || k[0] != v[0] || k[1] != v[1] || q[2] != k[2])
    fail(ErrorCode::internal, "[attention] q, k, v have the shapes {}, expected [B, Lq, D], [Bk, Lk, D], [Bk, Lk, Dv]",
         shapes());
  if (k[0] < 1 || q[0] % k[0] != 0)
    fail(ErrorCode::internal, "[attention] {} rows of queries cannot share {} rows of keys", q[0], k[0]);
  if (options.heads < 1 || q[2] % options.heads != 0 || v[2] % options.heads != 0)
    fail(ErrorCode::internal, "[attention] {} heads do not divide q, k, v of shapes {}", options.heads, shapes());
  if (options.causal && q[1] != k[1])
    fail(ErrorCode::internal, "[attention] {} queries and {} keys cannot be causal", q[1], k[1]);
  if (options.key_mask && options.key_mask.shape() != Shape{k[0], k[1]})
    fail(ErrorCode::internal, "[attention] key_mask has the shape {}, expected [{}, {}]",
         to_string(options.key_mask.shape()), k[0], k[1]);
}

}  // namespace

Value TorchBackend::linear(const Value& x, const Packed& weights, Activation activation, const Value& residual) {
  return compute("linear", [&] {
    const auto& packed = PackedTensors::of(weights);
    const std::int64_t out = weights.shape()[0], in = weights.shape()[1];
    if (x.shape().rank() == 0 || x.shape().cols() != in)
      fail(ErrorCode::internal, "[linear] x has {} columns, the weights expect {}", x.shape().cols(), in);
    check_dtype("linear", "x", x, DType::f32);
    const Shape result = x.shape().with_cols(out);
    if (residual) check_same_shape("linear", residual.shape(), result);

    const auto [weight, bias] = packed.prepare(compute_type(), keeps_bf16() ? at::kBFloat16 : at::kFloat);
    const torch::Tensor rows = tensor(x).reshape({x.shape().rows(), in});
    count(static_cast<double>(x.shape().numel()) * static_cast<double>(out), rows, weight);
    torch::Tensor y;
    if (compute_type() == at::kFloat || keeps_bf16()) {
      y = torch::linear(rows.to(compute_type()), weight, bias);
    } else {
      // The bias joins in f32, after a product that torch can only return rounded to bf16.
      y = product(rows, weight.t(), compute_type());
      if (bias.defined()) y = y + bias;
    }
    y = torch_detail::activate(y, activation).view(result.sizes());
    return residual ? y + tensor(residual) : y;
  });
}

void TorchBackend::count(double multiply_adds, const torch::Tensor& a, const torch::Tensor& b) {
  const bool history = at::GradMode::is_enabled();
  const int products = 1 + (history && a.requires_grad() ? 1 : 0) + (history && b.requires_grad() ? 1 : 0);
  product_operations_ += 2.0 * multiply_adds * products;
}

Value TorchBackend::layer_norm(const Value& x, const Value& gamma, const Value& beta, float eps,
                               const Value& residual) {
  return compute("layer_norm", [&] {
    const std::int64_t width = x.shape().cols();
    if (x.shape().rank() == 0 || gamma.shape() != Shape{width} || beta.shape() != Shape{width})
      fail(ErrorCode::internal, "[layer_norm] x has the shape {}, gamma {} and beta {}, expected […, D], [D] and [D]",
           to_string(x.shape()), to_string(gamma.shape()), to_string(beta.shape()));
    if (residual) check_same_shape("layer_norm", x.shape(), residual.shape());
    if (keeps_bf16() && residual) {
      const torch::Tensor y =
          torch_detail::fused_add_layer_norm(tensor(x), tensor(residual), tensor(gamma), tensor(beta), eps);
      if (y.defined()) return y;
    }
    const torch::Tensor z = residual ? tensor(x) + tensor(residual) : tensor(x);
    if (keeps_bf16() && z.scalar_type() == at::kBFloat16)
      return torch::layer_norm(z, {width}, TorchStorage::of(gamma).rounded(), TorchStorage::of(beta).rounded(), eps);
    const torch::Tensor y = torch::layer_norm(z, {width}, tensor(gamma), tensor(beta), eps);
    return keeps_bf16() ? y.to(at::kBFloat16) : y;
  });
}

Value TorchBackend::attention(const Value& q, const Value& k, const Value& v, const AttentionOptions& options) {
  return compute("attention", [&] {
    check_attention(q.shape(), k.shape(), v.shape(), options);
    const std::int64_t batch = q.shape()[0], queries = q.shape()[1], heads = options.heads;
    const std::int64_t key_batch = k.shape()[0], keys = k.shape()[1], share = batch / key_batch;
    const std::int64_t width = q.shape()[2] / heads, value_width = v.shape()[2] / heads;
    if (keys == 0) return torch::zeros({batch, queries, v.shape()[2]}, tensor(v).options());

    if (keeps_bf16() && !options.key_mask && (!options.causal || share == 1)) return fused_attention(q, k, v, options);

    // Queries that share keys become rows of one product, so that no key is copied: [Bk, heads, share · Lq, d].
    const torch::Tensor query = (tensor(q) * (1.0 / std::sqrt(static_cast<double>(width))))
                                    .reshape({key_batch, share, queries, heads, width})
                                    .permute({0, 3, 1, 2, 4})
                                    .reshape({key_batch, heads, share * queries, width});
    const torch::Tensor key = tensor(k).reshape({key_batch, keys, heads, width}).permute({0, 2, 3, 1});
    const torch::Tensor content = tensor(v).reshape({key_batch, keys, heads, value_width}).transpose(1, 2);

    const double pairs = static_cast<double>(batch * queries) * static_cast<double>(keys);
    count(pairs * static_cast<double>(q.shape()[2]), query, key);
    torch::Tensor scores = product(query, key, compute_type()).view({key_batch, heads, share, queries, keys});
    const torch::Tensor hidden = hidden_keys(options, key_batch, queries, device_);
    // The lowest finite score underflows to probability 0 beside any seen key, and unlike −∞ makes no NaN without one.
    if (hidden.defined()) scores = scores.masked_fill(hidden, std::numeric_limits<float>::lowest());
    torch::Tensor probabilities = drop(scores.softmax(-1), options.dropout);

    count(pairs * static_cast<double>(v.shape()[2]), probabilities, content);
    torch::Tensor y = product(probabilities.view({key_batch, heads, share * queries, keys}), content, compute_type())
                          .view({key_batch, heads, share, queries, value_width});
    if (hidden.defined()) y = y.masked_fill(hidden.all(-1, /*keepdim=*/true), 0.0);
    return y.permute({0, 2, 3, 1, 4}).reshape({batch, queries, heads * value_width});
  });
}

torch::Tensor TorchBackend::fused_attention(const Value& q, const Value& k, const Value& v,
                                            const AttentionOptions& options) {
  const std::int64_t batch = q.shape()[0], queries = q.shape()[1], heads = options.heads;
  const std::int64_t key_batch = k.shape()[0], keys = k.shape()[1], rows = batch / key_batch * queries;
  // Queries that share keys are one longer row of queries: [Bk, heads, share · Lq, d], all views.
  const auto by_head = [&](const Value& x, std::int64_t length) {
    return tensor(x).to(at::kBFloat16).reshape({key_batch, length, heads, x.shape()[2] / heads}).transpose(1, 2);
  };
  const torch::Tensor query = by_head(q, rows), key = by_head(k, keys), content = by_head(v, keys);
  count(static_cast<double>(batch * queries * keys) * static_cast<double>(q.shape()[2] + v.shape()[2]), query, key);
  return torch_detail::fused_attention(query, key, content, options.causal)
      .transpose(1, 2)
      .reshape({batch, queries, v.shape()[2]});
}

Value TorchBackend::embedding(const Value& table, const Value& ids) {
  return compute("embedding", [&] {
    check_dtype("embedding", "ids", ids, DType::i64);
    if (table.shape().rank() != 2)
      fail(ErrorCode::internal, "[embedding] the table has the shape {}, expected [V, D]", to_string(table.shape()));
    torch_detail::check_range("embedding", "id", ids, 0, table.shape()[0], ErrorCode::invalid_input);
    return torch::embedding(tensor(table), tensor(ids));
  });
}

Value TorchBackend::conv2d(const Value& x, const Packed& weights, const Conv2dOptions& options) {
  return compute("conv2d", [&] {
    const auto& packed = PackedTensors::of(weights);
    const Shape& kernel = weights.shape();
    const auto& o = options;
    if (kernel.rank() != 4 || o.groups != packed.groups())
      fail(ErrorCode::internal, "[conv2d] weights of shape {} were bound for {} groups, not {}", to_string(kernel),
           packed.groups(), o.groups);
    if (x.shape().rank() != 4 || x.shape()[3] != kernel[1] * o.groups)
      fail(ErrorCode::internal, "[conv2d] x has the shape {}, expected [B, H, W, {}]", to_string(x.shape()),
           kernel[1] * o.groups);
    if (o.stride < 1 || std::min({o.pad_top, o.pad_left, o.pad_bottom, o.pad_right}) < 0 ||
        x.shape()[1] + o.pad_top + o.pad_bottom < kernel[2] || x.shape()[2] + o.pad_left + o.pad_right < kernel[3])
      fail(ErrorCode::internal, "[conv2d] a kernel of {} x {} does not fit x of shape {}", kernel[2], kernel[3],
           to_string(x.shape()));

    torch::Tensor image = tensor(x);
    std::vector<std::int64_t> padding = {o.pad_top, o.pad_left};
    if (o.pad_top != o.pad_bottom || o.pad_left != o.pad_right) {
      image = torch::constant_pad_nd(image, {0, 0, o.pad_left, o.pad_right, o.pad_top, o.pad_bottom});
      padding = {0, 0};
    }
    // [B, C, H, W] with the strides of channels-last memory.
    image = image.permute({0, 3, 1, 2}).to(compute_type());
    const auto [weight, bias] = packed.prepare(compute_type());
    torch::Tensor y =
        torch::conv2d(image, weight, {}, {o.stride, o.stride}, padding, {1, 1}, o.groups).permute({0, 2, 3, 1});
    count(static_cast<double>(y.numel()) * static_cast<double>(kernel[1] * kernel[2] * kernel[3]), image, weight);
    y = y.to(at::kFloat);
    if (bias.defined()) y = y + bias;
    y = torch_detail::activate(y, o.activation);
    return keeps_bf16() ? y.to(at::kBFloat16) : y;
  });
}

Value TorchBackend::dropout(const Value& x, float p) {
  return compute("dropout", [&] { return drop(tensor(x), p); });
}

torch::Tensor TorchBackend::drop(const torch::Tensor& x, float p) {
  if (!(p >= 0.0f && p < 1.0f)) fail(ErrorCode::internal, "[dropout] the probability {} is outside [0, 1)", p);
  if (!training_ || p == 0.0f) return x;
  // Sixteen random bits decide about an element. Drawing them four at a time takes a tenth of the time that torch's
  // Bernoulli kernel needs on a CPU, which is that of a matrix product.
  const std::int64_t n = x.numel();
  torch::Tensor draws = torch::empty({(n + 3) / 4}, torch::dtype(at::kLong).device(device_));
  draws.random_(std::numeric_limits<std::int64_t>::min(), c10::nullopt, generator_);
  const auto threshold = std::lround(p * 65536.0) - 32768;
  const torch::Tensor dropped = draws.view(at::kShort).slice(0, 0, n).view(x.sizes()) < threshold;
  return (x * (1.0 / (1.0 - p))).masked_fill(dropped, 0.0);
}

}  // namespace capdiff
