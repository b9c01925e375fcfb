#include "capdiff/base/learning_rate.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "capdiff/formats/json_reader.h"
#include "tests/support/shared.h"

namespace capdiff {
namespace {

TEST(LearningRate, RisesAndFallsLinearly) {
  const LearningRateSchedule schedule{.peak = 1.0, .steps = 20, .warmup = 0.2, .decay = Decay::linear};
  EXPECT_DOUBLE_EQ(schedule.at(0), 0.0);
  EXPECT_DOUBLE_EQ(schedule.at(1), 0.25);
  EXPECT_DOUBLE_EQ(schedule.at(4), 1.0);
  EXPECT_DOUBLE_EQ(schedule.at(12), 0.5);
  EXPECT_DOUBLE_EQ(schedule.at(20), 0.0);
  EXPECT_DOUBLE_EQ(schedule.at(21), 0.0);
}

TEST(LearningRate, StartsAtThePeakWithoutWarmUp) {
  EXPECT_DOUBLE_EQ((LearningRateSchedule{.peak = 0.5, .steps = 10, .decay = Decay::linear}.at(0)), 0.5);
}

TEST(LearningRate, CosineIsHalfWayAtHalfTime) {
  const LearningRateSchedule schedule{.peak = 2.0, .steps = 10, .decay = Decay::cosine};
  EXPECT_DOUBLE_EQ(schedule.at(0), 2.0);
  EXPECT_NEAR(schedule.at(5), 1.0, 1e-12);
  EXPECT_GT(schedule.at(2), 1.6);  // above the line
  EXPECT_NEAR(schedule.at(10), 0.0, 1e-12);
}

TEST(LearningRate, WithoutDecayStaysAtThePeak) {
  const LearningRateSchedule schedule{.peak = 3.0, .steps = 10, .warmup = 0.1, .decay = Decay::none};
  EXPECT_DOUBLE_EQ(schedule.at(1), 3.0);
  EXPECT_DOUBLE_EQ(schedule.at(9), 3.0);
}

TEST(LearningRate, EqualsTheReference) {
  CAPDIFF_SHARED_OR_SKIP(path, "goldens/ladic_tiny/golden.json");
  const nlohmann::json golden = read_json(path);
  for (const nlohmann::json& reference : golden.at("lr_schedule")) {
    const LearningRateSchedule schedule{.peak = reference.at("peak").get<double>(),
                                        .steps = reference.at("total_steps").get<std::int64_t>(),
                                        .warmup = reference.at("warmup_ratio").get<double>(),
                                        .decay = Decay::linear};
    std::int64_t step = 0;
    for (const nlohmann::json& rate : reference.at("lr_used_at_update")) {
      EXPECT_NEAR(schedule.at(step), rate.get<double>(), 1e-12) << "step " << step;
      ++step;
    }
    EXPECT_EQ(step, schedule.steps);
  }
}

}  // namespace
}  // namespace capdiff
