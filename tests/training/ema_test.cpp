#include "capdiff/training/ema.h"

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

float only(const torch::Tensor& tensor) {
  return tensor.item<float>();
}

TEST(MovingAverage, FollowsTheWeights) {
  torch::Tensor weight = torch::full({1}, 1.0f);
  MovingAverage average({{"w", weight}}, 0.9);
  weight.fill_(2.0f);
  average.update(1000);  // 0.9 · 1 + 0.1 · 2
  weight.fill_(3.0f);
  average.update(1001);  // 0.9 · 1.1 + 0.1 · 3
  EXPECT_NEAR(average.state().at("w").values<float>()[0], 1.29f, 1e-6f);
  EXPECT_EQ(only(weight), 3.0f);
}

TEST(MovingAverage, ForgetsTheFirstWeightsEarly) {
  torch::Tensor weight = torch::full({1}, 0.0f);
  MovingAverage average({{"w", weight}}, 0.999);
  weight.fill_(1.0f);
  average.update(0);  // d = 1 / 10
  EXPECT_NEAR(average.state().at("w").values<float>()[0], 0.9f, 1e-6f);
}

TEST(MovingAverage, MayHaveItsDecayFromTheFirstStepOn) {
  torch::Tensor weight = torch::full({1}, 0.0f);
  MovingAverage average({{"w", weight}}, 0.75, /*warm_up=*/false);
  weight.fill_(1.0f);
  average.update(0);
  EXPECT_NEAR(average.state().at("w").values<float>()[0], 0.25f, 1e-6f);
}

TEST(MovingAverage, SwapsThereAndBack) {
  torch::Tensor weight = torch::arange(20000, torch::kFloat32);
  MovingAverage average({{"w", weight}}, 0.5);
  weight.mul_(3);
  const torch::Tensor trained = weight.clone();
  average.swap();
  EXPECT_TRUE(torch::equal(weight, torch::arange(20000, torch::kFloat32)));
  average.swap();
  EXPECT_TRUE(torch::equal(weight, trained));
  average.copy_to_parameters();
  EXPECT_EQ(only(weight[2]), 2.0f);
}

TEST(MovingAverage, GoesOnFromItsSavedState) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "ema.safetensors";
  torch::Tensor weight = torch::full({3}, 4.0f);
  write_safetensors(path, MovingAverage({{"w", weight}}, 0.5).state());
  weight.fill_(0.0f);
  MovingAverage average({{"w", weight}}, 0.5);
  average.load_state(SafetensorsFile::open(path));
  average.copy_to_parameters();
  EXPECT_EQ(only(weight[1]), 4.0f);
}

}  // namespace
}  // namespace capdiff
