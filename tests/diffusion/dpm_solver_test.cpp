#include "capdiff/diffusion/dpm_solver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "capdiff/base/error.h"
#include "capdiff/diffusion/noise_schedule.h"

namespace capdiff {
namespace {

TEST(SolverPoint, IsVariancePreserving) {
  const SolverPoint point = solver_point(0.36);
  EXPECT_NEAR(point.alpha, 0.6, 1e-12);
  EXPECT_NEAR(point.sigma, 0.8, 1e-12);
  EXPECT_NEAR(point.lambda, std::log(0.75), 1e-12);
}

TEST(DpmSolverStep, FirstOrderIsDdim) {
  const auto backend = make_onednn_backend({});
  const Value x = backend->upload(HostTensor::of({1}, {0.7f})), x0 = backend->upload(HostTensor::of({1}, {-0.4f}));
  const SolverPoint now = solver_point(0.3), next = solver_point(0.6);
  const double epsilon = (0.7 + 0.4 * now.alpha) / now.sigma;
  EXPECT_NEAR(backend->download(dpm_solver_step(*backend, x, x0, now, next)).values<float>()[0],
              -0.4 * next.alpha + next.sigma * epsilon, 1e-6);
}

TEST(DpmSolverStep, SecondOrderExtrapolatesTheEstimate) {
  const auto backend = make_onednn_backend({});
  const auto one = [&](float value) { return backend->upload(HostTensor::of({1}, {value})); };
  const SolverPoint previous = solver_point(0.1), now = solver_point(0.3), next = solver_point(0.6);
  const double half = 0.5 * (next.lambda - now.lambda) / (now.lambda - previous.lambda);
  const auto extrapolated = static_cast<float>((1.0 + half) * 2.0 - half * 1.5);
  EXPECT_NEAR(backend->download(dpm_solver_step(*backend, one(0.7f), one(2.0f), one(1.5f), previous, now, next))
                  .values<float>()[0],
              backend->download(dpm_solver_step(*backend, one(0.7f), one(extrapolated), now, next)).values<float>()[0],
              1e-6);
}

TEST(ContinuousSchedule, TimeOfInvertsLambda) {
  const NoiseSchedule table({.kind = ScheduleKind::linear});
  std::vector<double> alpha_bar;
  for (std::int64_t t = 1; t < table.time_steps(); ++t) alpha_bar.push_back(table.alpha_bar(t));
  for (const ContinuousSchedule& schedule :
       {ContinuousSchedule::linear(0.1, 20.0), ContinuousSchedule::discrete(alpha_bar)}) {
    for (const double t : {0.0105, 0.1, 0.5, 0.77, 1.0})
      EXPECT_NEAR(schedule.time_of(schedule.point(t).lambda), t, 1e-9);
  }
  EXPECT_THROW(ContinuousSchedule::discrete({0.5}), Error);
}

TEST(ContinuousSchedule, DiscreteGoesThroughItsTable) {
  const ContinuousSchedule schedule = ContinuousSchedule::discrete({0.9, 0.5, 0.2, 0.1});
  EXPECT_NEAR(schedule.log_alpha(0.5), 0.5 * std::log(0.5), 1e-12);
  EXPECT_NEAR(schedule.log_alpha(0.625), 0.25 * (std::log(0.5) + std::log(0.2)), 1e-12);
}

TEST(SolverTimes, AreSpreadInTimeInLambdaOrInItsRoot) {
  const ContinuousSchedule schedule = ContinuousSchedule::linear(0.1, 20.0);
  const auto times = [&](const char* spacing) { return solver_times(schedule, time_spacing(spacing), 4, 1.0, 0.01); };
  EXPECT_THAT(times("time_uniform"),
              testing::Pointwise(testing::DoubleNear(1e-12), {1.0, 0.7525, 0.505, 0.2575, 0.01}));
  EXPECT_NEAR(times("time_quadratic")[2], 0.55 * 0.55, 1e-12);
  const std::vector<double> even = times("logSNR");
  EXPECT_NEAR(even.front(), 1.0, 1e-9);
  EXPECT_NEAR(even.back(), 0.01, 1e-9);
  EXPECT_NEAR(schedule.point(even[1]).lambda - schedule.point(even[0]).lambda,
              schedule.point(even[4]).lambda - schedule.point(even[3]).lambda, 1e-9);
  EXPECT_THROW(time_spacing("random"), Error);
  EXPECT_THROW(solver_times(schedule, TimeSpacing::uniform, 0, 1.0, 0.1), Error);
}

}  // namespace
}  // namespace capdiff
