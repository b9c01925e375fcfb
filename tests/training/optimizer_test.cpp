#include "capdiff/training/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

/// Tensors below, at and above the size of one piece of parallel work.
NamedTensors make_parameters() {
  NamedTensors parameters;
  torch::manual_seed(3);
  for (const std::int64_t size : {1, 3, 129, 16384, 40001}) {
    parameters.emplace_back("weight" + std::to_string(size), torch::randn({size}).requires_grad_());
  }
  parameters.emplace_back("matrix", torch::randn({7, 9}).requires_grad_());
  return parameters;
}

void set_gradients(const NamedTensors& parameters, int step) {
  torch::manual_seed(100 + step);
  for (const auto& [name, parameter] : parameters) {
    torch::Tensor tensor = parameter;
    tensor.mutable_grad() = torch::randn_like(parameter) * 0.1;
  }
}

double distance(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

class AdamWTest : public ::testing::TestWithParam<AdamW::Kernel> {};

INSTANTIATE_TEST_SUITE_P(Kernels, AdamWTest, ::testing::Values(AdamW::Kernel::fused, AdamW::Kernel::foreach),
                         [](const auto& test) { return test.param == AdamW::Kernel::fused ? "fused" : "foreach"; });

TEST_P(AdamWTest, EqualsLibTorchsOverSeveralSteps) {
  const NamedTensors ours = make_parameters();
  const NamedTensors theirs = make_parameters();
  AdamW optimizer(ours, {.weight_decay = 0.1}, GetParam());
  std::vector<torch::Tensor> tensors;
  for (const auto& [name, parameter] : theirs) tensors.push_back(parameter);
  torch::optim::AdamW reference(tensors, torch::optim::AdamWOptions(0.01).weight_decay(0.1));
  for (int step = 0; step < 12; ++step) {
    const double learning_rate = 0.01 / (1 + step);
    static_cast<torch::optim::AdamWOptions&>(reference.param_groups()[0].options()).lr(learning_rate);
    set_gradients(ours, step);
    set_gradients(theirs, step);
    optimizer.step(learning_rate);
    reference.step();
    for (std::size_t i = 0; i < ours.size(); ++i) {
      EXPECT_LE(distance(ours[i].second, theirs[i].second), 1e-6) << ours[i].first << ", step " << step;
    }
  }
}

TEST_P(AdamWTest, ScalesGradients) {
  const NamedTensors scaled = make_parameters(), plain = make_parameters();
  AdamW scaled_optimizer(scaled, {}, GetParam()), plain_optimizer(plain, {}, GetParam());
  for (int step = 0; step < 3; ++step) {
    set_gradients(scaled, step);
    set_gradients(plain, step);
    for (const auto& [name, parameter] : plain) parameter.grad().mul_(0.25 + step);
    scaled_optimizer.step(0.01, 0.25 + step);
    plain_optimizer.step(0.01);
  }
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_LE(distance(scaled[i].second, plain[i].second), 1e-6);
}

TEST_P(AdamWTest, LeavesTensorsWithoutGradientAlone) {
  const NamedTensors parameters = make_parameters();
  AdamW optimizer(parameters, {.weight_decay = 0.5}, GetParam());
  set_gradients(parameters, 0);
  torch::Tensor idle = parameters[2].second;
  idle.mutable_grad().reset();
  const torch::Tensor before = idle.detach().clone(), other = parameters[3].second.detach().clone();
  optimizer.step(0.1);
  EXPECT_TRUE(torch::equal(idle.detach(), before));
  EXPECT_FALSE(torch::equal(parameters[3].second.detach(), other));
}

TEST_P(AdamWTest, NormIsThatOfAllGradientsTogether) {
  const NamedTensors parameters = make_parameters();
  AdamW optimizer(parameters, {}, GetParam());
  EXPECT_EQ(optimizer.gradient_norm(), 0.0);
  set_gradients(parameters, 0);
  double squares = 0;
  for (const auto& [name, parameter] : parameters) {
    squares += parameter.grad().to(torch::kFloat64).square().sum().item<double>();
  }
  EXPECT_NEAR(optimizer.gradient_norm(), std::sqrt(squares), 1e-5 * std::sqrt(squares));
  parameters[4].second.grad()[40000] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(std::isfinite(optimizer.gradient_norm()));
  optimizer.zero_gradients();
  EXPECT_EQ(optimizer.gradient_norm(), 0.0);
}

TEST_P(AdamWTest, GoesOnFromItsSavedState) {
  const test::TemporaryFolder folder;
  const NamedTensors straight = make_parameters(), resumed = make_parameters();
  AdamW first(straight, {}, GetParam()), before(resumed, {}, GetParam());
  for (int step = 0; step < 2; ++step) {
    set_gradients(straight, step);
    set_gradients(resumed, step);
    first.step(0.01);
    before.step(0.01);
  }
  write_safetensors(folder.path() / "optimizer.safetensors", before.state());
  AdamW after(resumed, {}, GetParam());
  after.load_state(SafetensorsFile::open(folder.path() / "optimizer.safetensors"));
  set_gradients(straight, 2);
  set_gradients(resumed, 2);
  first.step(0.01);
  after.step(0.01);
  for (std::size_t i = 0; i < straight.size(); ++i) EXPECT_TRUE(torch::equal(straight[i].second, resumed[i].second));
}

TEST(AdamW, RefusesTheStateOfOtherParameters) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "optimizer.safetensors";
  write_safetensors(path, AdamW({{"weight", torch::zeros({2})}}, {}).state());
  AdamW optimizer({{"weight", torch::zeros({3})}}, {});
  test::expect_error(ErrorCode::invalid_model, "exp_avg/weight",
                     [&] { optimizer.load_state(SafetensorsFile::open(path)); });
}

TEST(AdamW, TakesGradientsOfAnyLayout) {
  torch::Tensor weight = torch::zeros({2, 3}).requires_grad_(), same = torch::zeros({2, 3}).requires_grad_();
  const torch::Tensor gradient = torch::arange(6, torch::kFloat32).reshape({3, 2}).t();
  weight.mutable_grad() = gradient;
  same.mutable_grad() = gradient.contiguous();
  AdamW({{"weight", weight}}, {}).step(0.1);
  AdamW({{"weight", same}}, {}).step(0.1);
  EXPECT_TRUE(torch::equal(weight, same));
}

}  // namespace
}  // namespace capdiff
