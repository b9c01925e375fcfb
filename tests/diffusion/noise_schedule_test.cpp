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

TEST(NoiseSchedule, TablesFromBetasBeginWithNoise) {
  const auto first = [](ScheduleKind kind) {
    return NoiseSchedule({.kind = kind, .table = ScheduleTable::from_beta}).alpha_bar(0);
  };
  EXPECT_NEAR(first(ScheduleKind::truncated_linear), 1.0 - 0.0101, 1e-12);
  EXPECT_NEAR(first(ScheduleKind::piecewise_linear), 1.0 - 0.0101, 1e-12);
  EXPECT_NEAR(first(ScheduleKind::linear), 1.0 - 1e-4, 1e-12);
  EXPECT_NEAR(first(ScheduleKind::truncated_cosine), std::pow(std::cos(std::acos(-1.0) / 22.0), 2), 1e-12);
  EXPECT_NEAR(first(ScheduleKind::sqrt), (1.0 - std::sqrt(0.0011)) / 0.99, 1e-12);
}

/// Why tables are strided by default: the same formula with fewer time steps is another schedule where a part of it
/// does not follow t / T.
TEST(NoiseSchedule, RebuildingATruncatedLinearTableChangesItsLevels) {
  const auto ratio_at_half = [](ScheduleKind kind) {
    const NoiseSchedule trained({.kind = kind, .table = ScheduleTable::from_beta});
    const NoiseSchedule rebuilt({.kind = kind, .table = ScheduleTable::from_beta, .time_steps = 200});
    return rebuilt.alpha_bar(100) / trained.alpha_bar(500);
  };
  EXPECT_GT(ratio_at_half(ScheduleKind::truncated_linear), 30.0);
  for (const ScheduleKind kind : {ScheduleKind::linear, ScheduleKind::cosine, ScheduleKind::sqrt})
    EXPECT_NEAR(ratio_at_half(kind), 1.0, 0.1) << name_of(kind);
}

TEST(NoiseSchedule, SaysWhichTablesCannotBe) {
  EXPECT_THROW(NoiseSchedule({.kind = ScheduleKind::truncated_cosine}), Error);
  EXPECT_THROW(
      NoiseSchedule({.kind = ScheduleKind::truncated_linear, .table = ScheduleTable::from_beta, .time_steps = 20}),
      Error);
  EXPECT_THROW(
      NoiseSchedule({.kind = ScheduleKind::piecewise_linear, .table = ScheduleTable::from_beta, .time_steps = 10}),
      Error);
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
