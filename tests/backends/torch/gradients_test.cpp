#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "capdiff/backends/torch/torch_backend.h"

namespace capdiff {
namespace {

/// Deterministic values without structure, in [-1, 1].
torch::Tensor sample(torch::IntArrayRef sizes, int seed) {
  const auto n = torch::arange(c10::multiply_integers(sizes), torch::kDouble);
  return torch::sin(n * 12.9898 + seed * 78.233).reshape(sizes);
}

HostTensor host(const torch::Tensor& tensor) {
  const auto flat = tensor.to(torch::kFloat).contiguous();
  return HostTensor::of(Shape(tensor.sizes().vec()), std::span(flat.data_ptr<float>(), flat.numel()));
}

Parameter parameter(std::string name, const torch::Tensor& tensor) {
  return {std::move(name), host(tensor)};
}

/// A leaf of the backend's precision.
torch::Tensor leaf(const torch::Tensor& tensor) {
  return tensor.detach().to(torch::kFloat).requires_grad_();
}

void expect_near(const torch::Tensor& actual, const torch::Tensor& expected, double tolerance) {
  ASSERT_TRUE(actual.defined());
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_LE((actual.to(torch::kDouble) - expected).abs().max().item<double>(), tolerance);
}

using Function = std::function<torch::Tensor(const std::vector<torch::Tensor>&)>;

/// Compares the gradients of Σ wᵢ f(inputs)ᵢ with those of a double-precision definition. The weights w keep errors
/// from cancelling.
void expect_gradients(const std::vector<torch::Tensor>& inputs, const Function& actual, const Function& definition,
                      double tolerance) {
  std::vector<torch::Tensor> leaves, exact;
  for (const auto& input : inputs) {
    leaves.push_back(leaf(input));
    exact.push_back(input.detach().clone().requires_grad_());
  }
  const auto expected = definition(exact);
  const auto computed = actual(leaves);
  expect_near(computed.detach(), expected.detach(), tolerance);
  const auto weights = sample(expected.sizes(), 99);
  (expected * weights).sum().backward();
  (computed * weights.to(torch::kFloat)).sum().backward();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    SCOPED_TRACE("input " + std::to_string(i));
    expect_near(leaves[i].grad(), exact[i].grad(), tolerance);
  }
}

/// Attention written out row by row: query row b attends to row b / share of the keys.
torch::Tensor attention_by_rows(const std::vector<torch::Tensor>& qkv, std::int64_t heads, const torch::Tensor& mask,
                                bool causal) {
  const auto &q = qkv[0], &k = qkv[1], &v = qkv[2];
  const auto share = q.size(0) / k.size(0), d = q.size(2) / heads, dv = v.size(2) / heads;
  std::vector<torch::Tensor> rows;
  for (std::int64_t b = 0; b < q.size(0); ++b)
    for (std::int64_t i = 0; i < q.size(1); ++i) {
      std::vector<std::int64_t> seen;
      for (std::int64_t j = 0; j < k.size(1); ++j)
        if ((!causal || j <= i) && mask.index({b / share, j}).item<double>() != 0) seen.push_back(j);
      if (seen.empty()) {
        rows.push_back(torch::zeros({v.size(2)}, torch::kDouble));
        continue;
      }
      const auto index = torch::tensor(seen);
      for (std::int64_t h = 0; h < heads; ++h) {
        const auto keys = k[b / share].index_select(0, index).slice(1, h * d, (h + 1) * d);
        const auto values = v[b / share].index_select(0, index).slice(1, h * dv, (h + 1) * dv);
        const auto p = (keys.mv(q[b][i].slice(0, h * d, (h + 1) * d)) / std::sqrt(static_cast<double>(d))).softmax(0);
        rows.push_back(values.t().mv(p));
      }
    }
  return torch::cat(rows).reshape({q.size(0), q.size(1), v.size(2)});
}

class Gradients : public testing::TestWithParam<DType> {
 protected:
  std::unique_ptr<TorchBackend> backend_ = make_torch_backend({.compute = GetParam()});
  /// bf16 keeps eight bits; the sums here have a few dozen terms of size 1.
  double tolerance_ = GetParam() == DType::bf16 ? 6e-2 : 2e-5;
};

TEST_P(Gradients, LinearWithGeluAndResidual) {
  const auto w = sample({7, 5}, 1), b = sample({7}, 2);
  backend_->set_trainable([](const std::string&) { return true; });
  const Parameter weights[] = {parameter("w", w)}, biases[] = {parameter("b", b)};
  const Packed packed = backend_->bind_linear(weights, biases);
  const auto w_exact = w.clone().requires_grad_(), b_exact = b.clone().requires_grad_();
  expect_gradients(
      {sample({2, 3, 5}, 3), sample({2, 3, 7}, 4)},
      [&](const auto& in) {
        return TorchBackend::tensor(
            backend_->linear(TorchBackend::value(in[0]), packed, Activation::gelu, TorchBackend::value(in[1])));
      },
      [&](const auto& in) { return torch::gelu(torch::matmul(in[0], w_exact.t()) + b_exact) + in[1]; }, tolerance_);
  expect_near(backend_->parameters()[0].second.grad(), w_exact.grad(), tolerance_);
  expect_near(backend_->parameters()[1].second.grad(), b_exact.grad(), tolerance_);
}

TEST_P(Gradients, FusedLinearReachesEveryLeaf) {
  std::vector<Parameter> weights, biases;
  std::vector<torch::Tensor> exact;
  for (int i = 0; i < 3; ++i) {
    exact.push_back(sample({i + 2, 6}, i).requires_grad_());
    exact.push_back(sample({i + 2}, i + 10).requires_grad_());
    weights.push_back(parameter("w" + std::to_string(i), exact[2 * i].detach()));
    biases.push_back(parameter("b" + std::to_string(i), exact[2 * i + 1].detach()));
  }
  const Packed packed = backend_->bind_linear(weights, biases);
  EXPECT_EQ(packed.shape(), (Shape{9, 6}));
  backend_->set_trainable([](const std::string& name) { return name != "w1"; });
  const auto stacked = [&](int offset) { return torch::cat({exact[offset], exact[2 + offset], exact[4 + offset]}, 0); };
  expect_gradients(
      {sample({4, 6}, 20)},
      [&](const auto& in) {
        return TorchBackend::tensor(backend_->linear(TorchBackend::value(in[0]), packed, Activation::none, {}));
      },
      [&](const auto& in) { return torch::matmul(in[0], stacked(0).t()) + stacked(1); }, tolerance_);
  for (int i = 0; i < 3; ++i) {
    const auto w = backend_->parameters()[i].second, b = backend_->parameters()[3 + i].second;
    if (i == 1)
      EXPECT_FALSE(w.grad().defined());
    else
      expect_near(w.grad(), exact[2 * i].grad(), tolerance_);
    expect_near(b.grad(), exact[2 * i + 1].grad(), tolerance_);
  }
}

TEST_P(Gradients, AttentionSharesKeysAndMasksThem) {
  // The first image hides one key, the second hides all; causality leaves nothing to query 0 of the third.
  const auto mask = torch::tensor({1., 0., 1., 0., 0., 0., 0., 1., 1.}, torch::kDouble).reshape({3, 3});
  for (const bool causal : {false, true}) {
    SCOPED_TRACE(causal);
    expect_gradients(
        {sample({6, 3, 8}, 1), sample({3, 3, 8}, 2), sample({3, 3, 6}, 3)},
        [&](const auto& in) {
          AttentionOptions options{.heads = 2, .key_mask = backend_->upload(host(mask)), .causal = causal};
          return TorchBackend::tensor(backend_->attention(TorchBackend::value(in[0]), TorchBackend::value(in[1]),
                                                          TorchBackend::value(in[2]), options));
        },
        [&](const auto& in) { return attention_by_rows(in, 2, mask, causal); }, tolerance_);
  }
}

TEST_P(Gradients, ConvolutionWithUnequalPaddingAndGroups) {
  const auto w = sample({4, 2, 3, 2}, 1).requires_grad_(), b = sample({4}, 2).requires_grad_();
  const Packed packed = backend_->bind_conv2d(parameter("w", w.detach()), parameter("b", b.detach()), 2);
  backend_->set_trainable([](const std::string&) { return true; });
  Conv2dOptions options{.stride = 2, .pad_top = 1, .pad_left = 0, .pad_bottom = 0, .pad_right = 2, .groups = 2};
  expect_gradients(
      {sample({2, 6, 5, 4}, 3)},
      [&](const auto& in) {
        return TorchBackend::tensor(backend_->conv2d(TorchBackend::value(in[0]), packed, options));
      },
      [&](const auto& in) {
        // The definition of a cross-correlation, one output position at a time.
        const auto padded = torch::constant_pad_nd(in[0], {0, 0, 0, 2, 1, 0});
        std::vector<torch::Tensor> positions;
        const auto rows = (padded.size(1) - 3) / 2 + 1, columns = (padded.size(2) - 2) / 2 + 1;
        for (std::int64_t y = 0; y < rows; ++y)
          for (std::int64_t x = 0; x < columns; ++x) {
            const auto window = padded.slice(1, 2 * y, 2 * y + 3).slice(2, 2 * x, 2 * x + 2);
            for (int g = 0; g < 2; ++g)
              positions.push_back(
                  torch::einsum("byxc,ocyx->bo", {window.slice(3, 2 * g, 2 * g + 2), w.slice(0, 2 * g, 2 * g + 2)}));
          }
        return torch::cat(positions, 1).reshape({2, rows, columns, 4}) + b;
      },
      tolerance_);
  expect_near(backend_->parameters()[0].second.grad(), w.grad(), 4 * tolerance_);
  expect_near(backend_->parameters()[1].second.grad(), b.grad(), tolerance_);
}

TEST_P(Gradients, LayerNormOfASum) {
  const auto mean_and_scale = [](const torch::Tensor& z) {
    const auto centred = z - z.mean(-1, true);
    return centred / torch::sqrt((centred * centred).mean(-1, true) + 1e-5);
  };
  expect_gradients(
      {sample({3, 4, 6}, 1), sample({3, 4, 6}, 2), sample({6}, 3), sample({6}, 4)},
      [&](const auto& in) {
        const auto value = TorchBackend::value;
        return TorchBackend::tensor(
            backend_->layer_norm(value(in[0]), value(in[2]), value(in[3]), 1e-5f, value(in[1])));
      },
      [&](const auto& in) { return mean_and_scale(in[0] + in[1]) * in[2] + in[3]; }, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Compute, Gradients, testing::Values(DType::f32, DType::bf16),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST(LossGradients, DistanceHasNoneAtZero) {
  const auto backend = make_torch_backend({});
  const auto a = torch::tensor({{1.0f, 2.0f}, {3.0f, 4.0f}}).requires_grad_();
  const auto b = torch::tensor({{1.0f, 2.0f}, {0.0f, 0.0f}});
  const auto loss = TorchBackend::tensor(backend->mean_l2_distance(TorchBackend::value(a), TorchBackend::value(b)));
  EXPECT_FLOAT_EQ(loss.item<float>(), 2.5f);
  loss.backward();
  expect_near(a.grad(), torch::tensor({{0.0, 0.0}, {0.3, 0.4}}, torch::kDouble), 1e-7);
}

TEST(LossGradients, CrossEntropyIsSoftmaxMinusTargetOverCountedRows) {
  const auto backend = make_torch_backend({});
  const auto logits = sample({2, 2, 3}, 1);
  const auto x = leaf(logits);
  const auto targets = torch::tensor({2, -1, 0, -1}, torch::kLong).reshape({2, 2});
  TorchBackend::tensor(backend->cross_entropy(TorchBackend::value(x), TorchBackend::value(targets))).backward();
  auto expected = logits.softmax(-1) / 2;
  expected[0][0][2] -= 0.5;
  expected[1][0][0] -= 0.5;
  expected[0][1].zero_();
  expected[1][1].zero_();
  expect_near(x.grad(), expected, 1e-6);
}

TEST(LossGradients, SmoothedCrossEntropySharesItsTargetOut) {
  const auto backend = make_torch_backend({});
  const auto logits = sample({2, 3}, 1);
  const auto x = leaf(logits);
  const auto targets = torch::tensor({2, -1}, torch::kLong);
  TorchBackend::tensor(backend->cross_entropy(TorchBackend::value(x), TorchBackend::value(targets), 0.3f)).backward();
  auto expected = logits.softmax(-1) - 0.1;
  expected[0][2] -= 0.7;
  expected[1].zero_();
  expect_near(x.grad(), expected, 1e-6);
}

TEST(LossGradients, CrossEntropyOfNothingIsZero) {
  const auto backend = make_torch_backend({});
  const auto x = leaf(sample({2, 3}, 1));
  const auto loss =
      backend->cross_entropy(TorchBackend::value(x), TorchBackend::value(torch::full({2}, -1, torch::kLong)));
  EXPECT_EQ(TorchBackend::tensor(loss).item<float>(), 0.0f);
  TorchBackend::tensor(loss).backward();
  expect_near(x.grad(), torch::zeros({2, 3}, torch::kDouble), 0.0);
}

TEST(LossGradients, MeanSquaredErrorIsTwiceTheDifferenceOverElements) {
  const auto backend = make_torch_backend({});
  const auto a = sample({3, 4}, 1), b = sample({3, 4}, 2);
  const auto x = leaf(a);
  TorchBackend::tensor(backend->mean_squared_error(TorchBackend::value(x), TorchBackend::value(leaf(b)))).backward();
  expect_near(x.grad(), (a - b) / 6, 1e-6);
}

TEST(EmbeddingGradients, RepeatedIdsAddUp) {
  const auto backend = make_torch_backend({});
  backend->set_trainable([](const std::string&) { return true; });
  const Value table = backend->bind(parameter("table", sample({4, 2}, 1)));
  const Value ids = TorchBackend::value(torch::tensor({1, 3, 1}, torch::kLong));
  TorchBackend::tensor(backend->embedding(table, ids)).sum().backward();
  expect_near(backend->parameters()[0].second.grad(),
              torch::tensor({{0.0, 0.0}, {2.0, 2.0}, {0.0, 0.0}, {1.0, 1.0}}, torch::kDouble), 0.0);
}

}  // namespace
}  // namespace capdiff
