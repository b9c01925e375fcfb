#include "capdiff/image/augment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "capdiff/base/philox.h"
#include "capdiff/image/resize.h"
#include "tests/image/pictures.h"

namespace capdiff {
namespace {

using testing::HasSubstr;

/// The random numbers of sample `index`.
Uniform keyed(std::uint64_t seed, std::uint64_t index) {
  return [stream = RandomStream(seed, 0, index)]() mutable { return stream.uniform(); };
}

/// Returns the given numbers in turn, then zeros.
Uniform scripted(std::vector<double> numbers) {
  return [numbers = std::move(numbers), next = std::size_t{0}]() mutable {
    return next < numbers.size() ? numbers[next++] : 0.0;
  };
}

TEST(RandomCrop, FollowsTheLawForGivenNumbers) {
  // Area 0.5 + 0.5 * 0.36 = 0.68 of 100 x 80, aspect 1: sides round(sqrt(5440)) = 74; 7 rows and 27 columns of choice.
  const Box box = random_crop(100, 80, {0.5, 1.0}, {0.75, 4.0 / 3.0}, scripted({0.36, 0.5, 0.5, 0.999}));
  EXPECT_EQ(box, (Box{26, 3, 74, 74}));
}

TEST(RandomCrop, TriesAgainUntilTheRectangleFits) {
  // The whole area at aspect 4/3 is wider than a square picture; the second try takes half of it at aspect 1.
  const Box box = random_crop(100, 100, {0.5, 1.0}, {0.75, 4.0 / 3.0}, scripted({1.0, 1.0, 0.0, 0.5}));
  EXPECT_EQ(box, (Box{0, 0, 71, 71}));
}

TEST(RandomCrop, FallsBackOnTheCentre) {
  const Range scale = {0.9, 1.0}, aspect = {0.75, 4.0 / 3.0};
  EXPECT_EQ(random_crop(300, 30, scale, aspect, keyed(1, 0)), (Box{130, 0, 40, 30}));
  EXPECT_EQ(random_crop(30, 300, scale, aspect, keyed(1, 0)), (Box{0, 130, 30, 40}));
  EXPECT_EQ(random_crop(1, 1, {0.01, 0.01}, aspect, keyed(1, 0)), (Box{0, 0, 1, 1}));
}

TEST(RandomCrop, HasTheRightDistribution) {
  constexpr int kDraws = 20'000;
  constexpr int kWidth = 640, kHeight = 480;
  const Range scale = {0.08, 0.3}, aspect = {0.5, 2.0};  // small enough to fit always
  double area = 0, area_squares = 0, log_aspect = 0, wide = 0, x = 0, y = 0;
  for (int i = 0; i < kDraws; ++i) {
    const Box box = random_crop(kWidth, kHeight, scale, aspect, keyed(3, static_cast<std::uint64_t>(i)));
    ASSERT_GE(box.x, 0);
    ASSERT_GE(box.y, 0);
    ASSERT_LE(box.x + box.width, kWidth);
    ASSERT_LE(box.y + box.height, kHeight);
    const double share = static_cast<double>(box.width) * box.height / (kWidth * kHeight);
    area += share;
    area_squares += share * share;
    log_aspect += std::log(static_cast<double>(box.width) / box.height);
    wide += box.width > box.height * std::sqrt(2.0);
    x += static_cast<double>(box.x) / (kWidth - box.width);
    y += static_cast<double>(box.y) / (kHeight - box.height);
  }
  const double mean = area / kDraws;
  EXPECT_NEAR(mean, 0.19, 0.003);
  EXPECT_NEAR(area_squares / kDraws - mean * mean, 0.22 * 0.22 / 12, 2e-4);
  EXPECT_NEAR(log_aspect / kDraws, 0.0, 0.015);
  EXPECT_NEAR(wide / kDraws, 0.25, 0.015);
  EXPECT_NEAR(x / kDraws, 0.5, 0.015);
  EXPECT_NEAR(y / kDraws, 0.5, 0.015);
}

TEST(ColourJitter, FactorOneChangesNothing) {
  const Image image = test::synthetic(9, 7);
  EXPECT_EQ(adjust_brightness(image, 1.0), image);
  EXPECT_EQ(adjust_contrast(image, 1.0), image);
  EXPECT_EQ(adjust_saturation(image, 1.0), image);
}

TEST(ColourJitter, FactorZeroGivesTheBase) {
  const Image image(2, 1, {255, 0, 0, 0, 0, 255});  // luma 76 and 29, mean 52.5
  EXPECT_EQ(adjust_brightness(image, 0.0), Image(2, 1));
  EXPECT_EQ(adjust_contrast(image, 0.0), Image(2, 1, std::vector<std::uint8_t>(6, 53)));
  EXPECT_EQ(adjust_saturation(image, 0.0), Image(2, 1, {76, 76, 76, 29, 29, 29}));
}

TEST(ColourJitter, BlendsAndCuts) {
  const Image image(1, 1, {100, 150, 250});
  EXPECT_EQ(adjust_brightness(image, 0.5), Image(1, 1, {50, 75, 125}));
  EXPECT_EQ(adjust_brightness(image, 1.5), Image(1, 1, {150, 225, 255}));
  // Luma 146: 146 + 2 * (100 - 146) = 54, 146 + 2 * 4 = 154, beyond 255.
  EXPECT_EQ(adjust_saturation(image, 2.0), Image(1, 1, {54, 154, 255}));
  EXPECT_EQ(adjust_contrast(Image(2, 1, {10, 10, 10, 200, 200, 200}), 2.0), Image(2, 1, {0, 0, 0, 255, 255, 255}));
}

TEST(Augment, IsAFunctionOfItsRandomNumbers) {
  const Image image = test::synthetic(50, 40);
  const AugmentOptions options{.brightness = {0.6, 1.4}, .contrast = {0.6, 1.4}, .saturation = {0.6, 1.4}};
  const Image sample = augment(image, 24, options, keyed(5, 17));
  EXPECT_EQ(sample.width, 24);
  EXPECT_EQ(sample.height, 24);
  EXPECT_EQ(augment(image, 24, options, keyed(5, 17)), sample);
  EXPECT_NE(augment(image, 24, options, keyed(5, 18)), sample);
  EXPECT_NE(augment(image, 24, options, keyed(6, 17)), sample);
}

TEST(Augment, WithoutFreedomIsAPlainResize) {
  const Image image = test::synthetic(48, 48);
  const AugmentOptions still{.scale = {1.0, 1.0}, .aspect = {1.0, 1.0}, .flip = 0.0};
  EXPECT_EQ(augment(image, 24, still, keyed(5, 17)), resize_bicubic(image, 24, 24));
  AugmentOptions mirrored = still;
  mirrored.flip = 1.0;
  EXPECT_EQ(augment(image, 24, mirrored, keyed(5, 17)), flip_horizontal(resize_bicubic(image, 24, 24)));
}

TEST(Augment, FlipsAsOftenAsAsked) {
  const Image image = test::gradients(16, 16);
  const AugmentOptions options{.scale = {1.0, 1.0}, .aspect = {1.0, 1.0}, .flip = 0.3};
  const Image plain = resize_bicubic(image, 8, 8);
  int flipped = 0;
  for (std::uint64_t i = 0; i < 4000; ++i) flipped += augment(image, 8, options, keyed(9, i)) != plain;
  EXPECT_NEAR(flipped / 4000.0, 0.3, 0.03);
}

TEST(AugmentOptions, AreChecked) {
  EXPECT_NO_THROW(check(AugmentOptions{}));
  const auto error = [](const AugmentOptions& options) {
    return test::error_of(ErrorCode::usage, [&] { check(options); });
  };
  EXPECT_THAT(error({.scale = {0.0, 1.0}}), HasSubstr("scale"));
  EXPECT_THAT(error({.scale = {0.9, 0.5}}), HasSubstr("scale"));
  EXPECT_THAT(error({.scale = {0.5, 1.5}}), HasSubstr("scale"));
  EXPECT_THAT(error({.aspect = {-1.0, 2.0}}), HasSubstr("aspect"));
  EXPECT_THAT(error({.flip = 1.5}), HasSubstr("flip"));
  EXPECT_THAT(error({.contrast = {-0.5, 1.0}}), HasSubstr("contrast"));
  EXPECT_THAT(error({.brightness = {1.0, std::numeric_limits<double>::infinity()}}), HasSubstr("brightness"));
  EXPECT_THAT(error({.saturation = {std::numeric_limits<double>::quiet_NaN(), 1.0}}), HasSubstr("saturation"));
}

TEST(Augment, RefusesPicturesWithoutPixels) {
  EXPECT_THROW(augment(Image(), 8, {}, keyed(0, 0)), Error);
}

}  // namespace
}  // namespace capdiff
