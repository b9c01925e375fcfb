#include "capdiff/diffusion/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

TEST(DdimTimes, SpreadOverTheScheduleFromItsEnd) {
  EXPECT_THAT(ddim_times(5, 1000), testing::ElementsAre(999, 799, 599, 399, 199));
  EXPECT_THAT(ddim_times(3, 10), testing::ElementsAre(9, 6, 3));
  EXPECT_THAT(ddim_times(1, 1000), testing::ElementsAre(999));
  EXPECT_EQ(ddim_times(1000, 1000).back(), 0);
  EXPECT_THROW(ddim_times(0, 1000), Error);
  EXPECT_THROW(ddim_times(1001, 1000), Error);
}

/// With a network that always knows x0, DDIM walks the straight line x_t = √ᾱ x0 + √(1 − ᾱ) ε of one fixed ε, whatever
/// the scale of the noise it started from.
TEST(SampleDdim, FollowsTheForwardProcessOfAPerfectDenoiser) {
  const auto backend = make_onednn_backend({});
  const NoiseSchedule schedule({});
  const HostTensor x0 = HostTensor::of({1, 1, 2}, {1.5f, -0.5f});
  const HostTensor noise = HostTensor::of({1, 1, 2}, {0.7f, 1.9f});
  const double first = schedule.noise(999);
  std::size_t calls = 0;
  const Value result = sample_ddim(
      *backend, schedule, 6, backend->upload(noise),
      [&](const Value&, const Value&, std::int64_t) { return backend->upload(x0); },
      [&](std::size_t call, std::int64_t t, const Value& x_t, const Value&) {
        EXPECT_EQ(call, calls++);
        const HostTensor x = backend->download(x_t);
        for (std::size_t i = 0; i < 2; ++i) {
          // The noise that x_T holds beside its share of x0.
          const double epsilon = (noise.values<float>()[i] - schedule.signal(999) * x0.values<float>()[i]) / first;
          EXPECT_NEAR(x.values<float>()[i], schedule.signal(t) * x0.values<float>()[i] + schedule.noise(t) * epsilon,
                      1e-5);
        }
      });
  EXPECT_EQ(calls, 6u);
  EXPECT_EQ(backend->download(result).values<float>()[0], 1.5f);
}

TEST(SampleDdim, FeedsEveryEstimateToTheNextCallAndZeroToTheFirst) {
  const auto backend = make_onednn_backend({});
  float expected = 0.0f;
  sample_ddim(*backend, NoiseSchedule({}), 4, backend->upload(HostTensor(DType::f32, {1, 1, 1})),
              [&](const Value&, const Value& self_condition, std::int64_t) {
                EXPECT_EQ(backend->download(self_condition).values<float>()[0], expected);
                expected += 1.0f;
                return backend->upload(HostTensor::of({1, 1, 1}, {expected}));
              });
  EXPECT_EQ(expected, 4.0f);
}

}  // namespace
}  // namespace capdiff
