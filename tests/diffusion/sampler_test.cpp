#include "capdiff/diffusion/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

using testing::ElementsAre;

TEST(DdimTimes, SpreadOverTheScheduleFromItsEnd) {
  EXPECT_THAT(ddim_times(5, 1000), ElementsAre(999, 799, 599, 399, 199));
  EXPECT_THAT(ddim_times(3, 10), ElementsAre(9, 6, 3));
  EXPECT_THAT(ddim_times(1, 1000), ElementsAre(999));
  EXPECT_EQ(ddim_times(1000, 1000).back(), 0);
  EXPECT_THAT(ddim_times(4, 1000, 2.0), ElementsAre(999, 562, 249, 62));
  EXPECT_THAT(ddim_times(4, 1000, 0.5), ElementsAre(999, 866, 707, 499));
  EXPECT_THAT(ddim_times(4, 5, 10.0), ElementsAre(4, 2, 1, 0));
  EXPECT_THROW(ddim_times(0, 1000), Error);
  EXPECT_THROW(ddim_times(1001, 1000), Error);
}

TEST(StrideTimes, CountDownWhileAboveZero) {
  EXPECT_THAT(stride_times(5, 1000), ElementsAre(999, 799, 599, 399, 199));
  EXPECT_EQ(stride_times(34, 1000).size(), 34u);
  EXPECT_EQ(stride_times(34, 1000).back(), 9);
  EXPECT_EQ(stride_times(30, 1000)[1], 999 - 34);
  EXPECT_THAT(stride_times(1, 1000), ElementsAre(999));
  EXPECT_EQ(stride_times(700, 1000).size(), 500u);  // a stride of 2
  EXPECT_THROW(stride_times(0, 1000), Error);
  EXPECT_THAT(times_of_stride(300, 1000), ElementsAre(999, 699, 399, 99));
  EXPECT_THAT(times_of_stride(333, 1000), ElementsAre(999, 666, 333));
  EXPECT_THROW(times_of_stride(0, 1000), Error);
}

/// Noise that tells where it came from: `start` at first, 10, 11, … for the steps, 100 for Back&Refine.
class CountedNoise final : public NoiseSource {
 public:
  CountedNoise(Backend& backend, Shape shape, std::vector<float> start)
      : backend_(backend), shape_(std::move(shape)), start_(std::move(start)) {}
  Value initial() override { return backend_.upload(HostTensor::of(shape_, start_)); }
  Value step(std::int64_t draw) override {
    draws.push_back(draw);
    return filled(10.0f + static_cast<float>(draw));
  }
  Value restart() override { return filled(100.0f); }

  std::vector<std::int64_t> draws;

 private:
  Value filled(float value) {
    return backend_.upload(HostTensor::of(shape_, std::vector<float>(start_.size(), value)));
  }
  Backend& backend_;
  Shape shape_;
  std::vector<float> start_;
};

/// One caption of four positions and one feature, and a network that finds the positions' numbers 0, 1, 2, 3.
class SamplerTest : public testing::Test {
 protected:
  SamplingTask task() {
    return {.denoise =
                [this](const Value&, const Value&, std::int64_t t) {
                  told_.push_back(t);
                  return backend_->upload(x0_);
                },
            .noise = &noise_,
            .confidence =
                [](const Value&) {
                  return HostTensor::of({1, 4}, {0.9f, 0.2f, 0.8f, 0.1f});
                },
            .known = {},
            .observe =
                [this](const SamplerCall& call) {
                  EXPECT_EQ(call.call, levels_.size());
                  levels_.push_back(call.t);
                  inputs_.push_back(values(call.x_t));
                  if (call.kept) kept_at_ = call.call;
                }};
  }
  std::vector<float> values(const Value& value) {
    const HostTensor tensor = backend_->download(value);
    return {tensor.values<float>().begin(), tensor.values<float>().end()};
  }
  std::vector<float> run(const SamplerConfig& config, std::span<const std::int64_t> times, const SamplingTask& task) {
    return values(sample(*backend_, schedule_, config, times, task));
  }

  std::unique_ptr<Backend> backend_ = make_onednn_backend({});
  NoiseSchedule schedule_{{}};
  HostTensor x0_ = HostTensor::of({1, 4, 1}, {0.0f, 1.0f, 2.0f, 3.0f});
  CountedNoise noise_{*backend_, {1, 4, 1}, {0.5f, -1.5f, 0.25f, 2.0f}};
  std::vector<std::int64_t> told_, levels_;
  std::vector<std::vector<float>> inputs_;
  std::optional<std::size_t> kept_at_;
};

/// With a network that always knows x0, DDIM walks the straight line x_t = √ᾱ x0 + √(1 − ᾱ) ε of one fixed ε, whatever
/// the scale of the noise it started from.
TEST_F(SamplerTest, DdimFollowsTheForwardProcessOfAPerfectDenoiser) {
  EXPECT_THAT(run({}, ddim_times(6, 1000), task()), ElementsAre(0.0f, 1.0f, 2.0f, 3.0f));
  ASSERT_EQ(inputs_.size(), 6u);
  for (std::size_t call = 0; call < 6; ++call) {
    for (std::size_t i = 0; i < 4; ++i) {
      const double x0 = static_cast<double>(i);
      const double epsilon = (inputs_[0][i] - schedule_.signal(999) * x0) / schedule_.noise(999);
      EXPECT_NEAR(inputs_[call][i], schedule_.signal(levels_[call]) * x0 + schedule_.noise(levels_[call]) * epsilon,
                  1e-5);
    }
  }
  EXPECT_TRUE(noise_.draws.empty());
}

TEST_F(SamplerTest, DdimWithEtaOneIsAncestral) {
  const std::vector<std::int64_t> times{900, 400};
  run({.eta = 1.0}, times, task());
  const double a = schedule_.alpha_bar(900), b = schedule_.alpha_bar(400);
  const double nu = std::sqrt((1.0 - b) / (1.0 - a)) * std::sqrt(1.0 - a / b);
  for (std::size_t i = 0; i < 4; ++i) {
    const double x0 = static_cast<double>(i);
    const double epsilon = (inputs_[0][i] - std::sqrt(a) * x0) / std::sqrt(1.0 - a);
    EXPECT_NEAR(inputs_[1][i], std::sqrt(b) * x0 + std::sqrt(1.0 - b - nu * nu) * epsilon + nu * 10.0, 1e-5);
  }
}

TEST_F(SamplerTest, RenoisingForgetsTheNoiseBeforeAndShiftsTheToldTime) {
  const std::vector<std::int64_t> times{999, 699, 399};
  run({.kind = SamplerKind::renoise, .time_shift = 5}, times, task());
  EXPECT_THAT(told_, ElementsAre(999, 704, 404));
  EXPECT_EQ(levels_, times);
  EXPECT_THAT(noise_.draws, ElementsAre(0, 1));
  EXPECT_NEAR(inputs_[1][2], schedule_.signal(699) * 2.0 + schedule_.noise(699) * 10.0, 1e-5);
  EXPECT_NEAR(inputs_[2][2], schedule_.signal(399) * 2.0 + schedule_.noise(399) * 11.0, 1e-5);
}

TEST_F(SamplerTest, SecondOrderFollowsAPerfectDenoiserToo) {
  for (const std::int64_t steps : {5, 20}) {
    inputs_.clear();
    levels_.clear();
    EXPECT_THAT(run({.kind = SamplerKind::dpm_solver}, ddim_times(steps, 1000), task()),
                ElementsAre(0.0f, 1.0f, 2.0f, 3.0f));
    for (std::size_t call = 0; call < inputs_.size(); ++call) {
      const double epsilon = (inputs_[0][3] - schedule_.signal(999) * 3.0) / schedule_.noise(999);
      EXPECT_NEAR(inputs_[call][3], schedule_.signal(levels_[call]) * 3.0 + schedule_.noise(levels_[call]) * epsilon,
                  1e-4);
    }
  }
}

TEST_F(SamplerTest, FeedsEveryEstimateToTheNextCallAndZeroToTheFirst) {
  float expected = 0.0f;
  SamplingTask counting = task();
  counting.denoise = [&](const Value&, const Value& self_condition, std::int64_t) {
    EXPECT_EQ(values(self_condition), std::vector<float>(4, expected));
    expected += 1.0f;
    return backend_->upload(HostTensor::of({1, 4, 1}, std::vector<float>(4, expected)));
  };
  run({}, ddim_times(4, 1000), counting);
  EXPECT_EQ(expected, 4.0f);
}

TEST_F(SamplerTest, BackAndRefineStartsAgainOnceWithTheCertainWordsClean) {
  run({.back_and_refine = BackAndRefine{}}, ddim_times(5, 1000), task());
  EXPECT_THAT(levels_, ElementsAre(999, 799, 599, 399, 999, 799, 599, 399, 199));
  EXPECT_EQ(kept_at_, 3u);
  EXPECT_THAT(inputs_[4], ElementsAre(0.0f, 100.0f, 2.0f, 100.0f));
}

TEST_F(SamplerTest, BackAndRefineAsReleasedNoisesTheKeptWordsAndSkipsTheTop) {
  const BackAndRefine back{.time = 0.5995, .not_below = 0.3, .share = 0.25, .noisy = true};
  run({.kind = SamplerKind::renoise, .back_and_refine = back}, times_of_stride(200, 1000), task());
  EXPECT_THAT(levels_, ElementsAre(999, 799, 599, 799, 599, 399, 199));
  EXPECT_EQ(kept_at_, 2u);
  const double signal = schedule_.signal(399), noise = schedule_.noise(399);
  for (const std::size_t i : {0u, 1u, 2u})
    EXPECT_NEAR(inputs_[3][i], signal * static_cast<double>(i) + noise * 12.0, 1e-5);
  EXPECT_EQ(inputs_[3][3], 100.0f);
  EXPECT_THAT(noise_.draws, ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST_F(SamplerTest, KnownPositionsStayWhatTheyAre) {
  SamplingTask filling = task();
  filling.known = KnownPositions{backend_->upload(HostTensor::of({1, 4, 1}, {1.0f, 0.0f, 0.0f, 1.0f})),
                                 backend_->upload(HostTensor::of({1, 4, 1}, {7.0f, 7.0f, 7.0f, 8.0f}))};
  EXPECT_THAT(run({}, ddim_times(5, 1000), filling), ElementsAre(7.0f, 1.0f, 2.0f, 8.0f));
  for (const std::vector<float>& x : inputs_) {
    EXPECT_EQ(x[0], 7.0f);
    EXPECT_EQ(x[3], 8.0f);
    EXPECT_NE(x[1], 7.0f);
  }
}

/// Two pictures of one row, of one position each, whose words are the numbers that the network says: the first changes
/// with every call until the third, the second does not.
class SettlingTest : public testing::Test {
 protected:
  SamplingTask task() {
    return {.denoise =
                [this](const Value& x_t, const Value&, std::int64_t) {
                  ++call_;
                  std::vector<float> x0;
                  for (const std::int64_t picture : pictures_)
                    x0.push_back(static_cast<float>(picture == 0 ? std::min(call_, 3) : 7));
                  rows_.push_back(x_t.shape()[0]);
                  inputs_.push_back(backend_->download(x_t).values<float>().back());
                  return backend_->upload(HostTensor::of({x_t.shape()[0], 1, 1}, x0));
                },
            .noise = &noise_,
            .confidence =
                [](const Value&) {
                  return HostTensor::of({2, 1}, {0.1f, 0.9f});
                },
            .known = {},
            .observe = {},
            .words =
                [this](const Value& x0) {
                  const HostTensor values = backend_->download(x0);
                  std::vector<std::int64_t> words;
                  for (const float value : values.values<float>()) words.push_back(static_cast<std::int64_t>(value));
                  return HostTensor::of({values.shape()[0], 1}, words);
                },
            .rows_per_picture = 1,
            .keep_only =
                [this](const std::vector<std::int64_t>& stay) {
                  std::vector<std::int64_t> pictures;
                  for (const std::int64_t picture : stay)
                    pictures.push_back(pictures_[static_cast<std::size_t>(picture)]);
                  pictures_ = pictures;
                }};
  }
  std::vector<float> run(const SamplerConfig& config, const SamplingTask& task) {
    const HostTensor x0 = backend_->download(sample(*backend_, schedule_, config, ddim_times(8, 1000), task));
    return {x0.values<float>().begin(), x0.values<float>().end()};
  }

  std::unique_ptr<Backend> backend_ = make_onednn_backend({});
  NoiseSchedule schedule_{{}};
  CountedNoise noise_{*backend_, {2, 1, 1}, {0.5f, -1.5f}};
  std::vector<std::int64_t> pictures_{0, 1}, rows_;
  std::vector<float> inputs_;  ///< x_t of the last row
  int call_ = 0;
};

TEST_F(SettlingTest, PicturesLeaveWhenTheirWordsStayAndComeBackInOrder) {
  EXPECT_THAT(run({.settling = {.stop_after = 3}}, task()), ElementsAre(3.0f, 7.0f));
  EXPECT_THAT(rows_, ElementsAre(2, 2, 2, 1, 1));
}

TEST_F(SettlingTest, RowsOfOnePictureWaitForEachOther) {
  SamplingTask together = task();
  together.rows_per_picture = 2;
  EXPECT_THAT(run({.settling = {.stop_after = 3}}, together), ElementsAre(3.0f, 7.0f));
  EXPECT_THAT(rows_, ElementsAre(2, 2, 2, 2, 2));
}

TEST_F(SettlingTest, FreshNoiseIsThatOfTheRowsThatAreLeft) {
  run({.kind = SamplerKind::renoise, .settling = {.stop_after = 2}}, task());
  EXPECT_THAT(rows_, ElementsAre(2, 2, 1, 1));
  EXPECT_THAT(noise_.draws, ElementsAre(0, 1, 2));
}

TEST_F(SettlingTest, BeginsAfterBackAndRefine) {
  run({.back_and_refine = BackAndRefine{}, .settling = {.stop_after = 2}}, task());
  EXPECT_THAT(rows_, ElementsAre(2, 2, 2, 2, 2, 2, 2));  // five calls down to t <= T / 2, then two that agree
}

TEST_F(SettlingTest, FrozenWordsHaveNoNoise) {
  run({.settling = {.freeze_after = 2}}, task());
  EXPECT_EQ(rows_.size(), 8u);
  EXPECT_NE(inputs_[1], 7.0f);
  for (std::size_t call = 2; call < inputs_.size(); ++call) EXPECT_EQ(inputs_[call], 7.0f);
}

TEST(SamplerKind, HasNames) {
  for (const SamplerKind kind : {SamplerKind::ddim, SamplerKind::renoise, SamplerKind::dpm_solver})
    EXPECT_EQ(sampler_kind(name_of(kind)), kind);
  EXPECT_THROW(sampler_kind("euler"), Error);
}

}  // namespace
}  // namespace capdiff
