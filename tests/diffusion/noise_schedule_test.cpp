#include "capdiff/diffusion/noise_schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

TEST(NoiseSchedule, LinearAgreesWithPublishedValues) {
  const NoiseSchedule schedule({.kind = ScheduleKind::linear});
  EXPECT_EQ(schedule.alpha_bar(0), 1.0);
  EXPECT_NEAR(schedule.alpha_bar(1), 0.9999, 1e-8);
  EXPECT_NEAR(schedule.alpha_bar(199), 0.66172785, 1e-7);
  EXPECT_NEAR(schedule.alpha_bar(599), 0.02619456, 1e-7);
  EXPECT_NEAR(schedule.alpha_bar(999), 4.118195e-5, 1e-9);
}

TEST(NoiseSchedule, CosineAgreesWithPublishedValues) {
  const NoiseSchedule schedule({.kind = ScheduleKind::cosine});
  EXPECT_EQ(schedule.alpha_bar(0), 1.0);
  EXPECT_NEAR(schedule.alpha_bar(199), 0.89964506, 1e-7);
  EXPECT_NEAR(schedule.alpha_bar(599), 0.34228782, 1e-7);
  EXPECT_NEAR(schedule.alpha_bar(999), 2.42877e-6, 1e-9);
}

TEST(NoiseSchedule, SquareRootFallsFastAtFirst) {
  const NoiseSchedule schedule({.kind = ScheduleKind::sqrt});
  EXPECT_EQ(schedule.alpha_bar(0), 1.0);
  EXPECT_NEAR(schedule.alpha_bar(1), (1.0 - std::sqrt(0.0011)) / 0.99, 1e-12);
  EXPECT_NEAR(schedule.alpha_bar(500), (1.0 - std::sqrt(0.5001)) / 0.99, 1e-12);
  EXPECT_GT(schedule.alpha_bar(999), 0.0);
  EXPECT_EQ(schedule_kind("sqrt"), ScheduleKind::sqrt);
}

TEST(NoiseSchedule, NoiseFactorScalesTrainingNoiseOnly) {
  const NoiseSchedule schedule({.noise_factor = 4.0});
  EXPECT_DOUBLE_EQ(schedule.training_noise(500), 4.0 * schedule.noise(500));
  EXPECT_DOUBLE_EQ(schedule.signal(500) * schedule.signal(500) + schedule.noise(500) * schedule.noise(500), 1.0);
}

TEST(NoiseSchedule, RefusesWhatIsNoSchedule) {
  EXPECT_THROW(NoiseSchedule({.time_steps = 1}), Error);
  EXPECT_THROW(NoiseSchedule({}).alpha_bar(1000), Error);
  EXPECT_THROW(NoiseSchedule({}).alpha_bar(-1), Error);
  EXPECT_THROW(schedule_kind("quadratic"), Error);
  EXPECT_EQ(schedule_kind(name_of(ScheduleKind::linear)), ScheduleKind::linear);
}

}  // namespace
}  // namespace capdiff
