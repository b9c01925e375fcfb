#include "capdiff/image/image.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/image/pictures.h"

namespace capdiff {
namespace {

TEST(Image, IsBlackWhenNew) {
  const Image image(3, 2);
  EXPECT_EQ(image.rgb, std::vector<std::uint8_t>(18, 0));
  EXPECT_EQ(image.stride(), 9u);
}

TEST(Image, ChecksSidesAndBytes) {
  EXPECT_THROW(Image(0, 4), Error);
  EXPECT_THROW(Image(4, -1), Error);
  EXPECT_NO_THROW(Image(2, 2, std::vector<std::uint8_t>(12)));
  EXPECT_THROW(Image(2, 2, std::vector<std::uint8_t>(11)), Error);
  constexpr int kMax = std::numeric_limits<int>::max();
  EXPECT_THROW(Image(kMax, kMax, {}), Error);
}

TEST(Image, FlipMirrorsPixelsNotChannels) {
  const Image image(3, 2, {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19});
  const Image expected(3, 2, {7, 8, 9, 4, 5, 6, 1, 2, 3, 17, 18, 19, 14, 15, 16, 11, 12, 13});
  EXPECT_EQ(flip_horizontal(image), expected);
  EXPECT_EQ(flip_horizontal(expected), image);
}

}  // namespace
}  // namespace capdiff
