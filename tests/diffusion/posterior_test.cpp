#include "capdiff/diffusion/posterior.h"

#include <gtest/gtest.h>

#include <cmath>

#include "capdiff/diffusion/forward_process.h"
#include "capdiff/diffusion/guidance.h"

namespace capdiff {
namespace {

// x_s of the forward process, x_t made from it: Bayes' rule for two Gaussians, in numbers.
TEST(Posterior, IsBayesRule) {
  constexpr double kAbarS = 0.8, kAbarT = 0.5, kX0 = 1.5, kXT = -0.3;
  const Posterior posterior(kAbarT, kAbarS);
  const double a = kAbarT / kAbarS, prior = 1.0 - kAbarS, likelihood = 1.0 - a;
  const double variance = 1.0 / (1.0 / prior + a / likelihood);
  const double mean = variance * (std::sqrt(kAbarS) * kX0 / prior + std::sqrt(a) * kXT / likelihood);
  EXPECT_NEAR(posterior.variance, variance, 1e-12);
  EXPECT_NEAR(posterior.x0_weight * kX0 + posterior.x_t_weight * kXT, mean, 1e-12);
  EXPECT_NEAR(posterior.beta, 1.0 - a, 1e-12);
}

TEST(Posterior, OfACleanLevelIsTheEstimate) {
  const Posterior posterior(0.9, 1.0);
  EXPECT_DOUBLE_EQ(posterior.variance, 0.0);
  EXPECT_DOUBLE_EQ(posterior.x0_weight, 1.0);
  EXPECT_DOUBLE_EQ(posterior.x_t_weight, 0.0);
}

TEST(ForwardProcess, NoisesEveryRowAtItsOwnTime) {
  const auto backend = make_onednn_backend({});
  const NoiseSchedule schedule({.kind = ScheduleKind::cosine, .noise_factor = 2.0});
  const Value x0 = backend->upload(HostTensor::of({2, 1, 2}, std::vector<float>{1, 2, 3, 4}));
  const Value noise = backend->upload(HostTensor::of({2, 1, 2}, std::vector<float>{1, -1, 1, -1}));
  const HostTensor x_t =
      backend->download(noised(*backend, schedule, x0, noise, HostTensor::of({2}, std::vector<std::int64_t>{0, 500})));
  EXPECT_FLOAT_EQ(x_t.values<float>()[1], 2.0f);
  EXPECT_NEAR(x_t.values<float>()[3], 4.0 * schedule.signal(500) - 2.0 * schedule.noise(500), 1e-6);
}

TEST(Guidance, LeadsAwayFromTheSecondHalf) {
  const auto backend = make_onednn_backend({});
  const Value both = backend->upload(HostTensor::of({2, 1, 1}, std::vector<float>{3, 1}));
  EXPECT_FLOAT_EQ(backend->download(guide(*backend, both, 1.5)).values<float>()[0], 2.5f * 3.0f - 1.5f * 1.0f);
}

}  // namespace
}  // namespace capdiff
