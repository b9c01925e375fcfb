#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "capdiff/image/decode.h"
#include "capdiff/image/row_reducer.h"
#include "tests/image/pictures.h"
#include "tests/image/png_file.h"

namespace capdiff {
namespace {

using test::Bytes;
using testing::HasSubstr;

TEST(RowReducer, TakesTheMeanOfSquares) {
  const Image image(4, 2, {0, 0, 0, 10, 20, 30, 1, 1, 1, 3, 3, 3,  //
                           2, 4, 6, 4,  0,  0,  1, 1, 1, 2, 2, 2});
  EXPECT_EQ(reduce(image, 2), Image(2, 1, {4, 6, 9, 2, 2, 2}));
  EXPECT_EQ(reduce(image, 1), image);
}

TEST(RowReducer, TakesWhatThereIsAtTheBorder) {
  const Image image(3, 3, {10, 10, 10, 20, 20, 20, 7, 7, 7,  //
                           30, 30, 30, 40, 40, 40, 9, 9, 9,  //
                           50, 50, 50, 70, 70, 70, 5, 5, 5});
  EXPECT_EQ(reduce(image, 2), Image(2, 2, {25, 25, 25, 8, 8, 8, 60, 60, 60, 5, 5, 5}));
}

TEST(RowReducer, FillsRowsThatNeverCame) {
  RowReducer reducer(2, 4, 2);
  reducer.add(std::vector<std::uint8_t>{1, 1, 1, 3, 3, 3});
  EXPECT_EQ(reducer.finish(128), Image(1, 2, {2, 2, 2, 128, 128, 128}));
}

TEST(LargePictures, AreReducedFrom2048PixelsOn) {
  EXPECT_EQ(reduction_of(2047, 100'000), 1);
  EXPECT_EQ(reduction_of(2048, 2048), 2);
  EXPECT_EQ(reduction_of(4000, 3000), 2);
  EXPECT_EQ(reduction_of(4096, 5000), 4);
  EXPECT_EQ(reduction_of(20'000, 14'000), 8);
  EXPECT_EQ(reduction_of(1'000'000, 1'000'000), 8);
}

TEST(LargePictures, JpegKeepsItsLooks) {
  const Image image = test::gradients(2050, 2049);
  const Image decoded = decode(test::encode_jpeg(image, {.subsampling = TJSAMP_420}), "large.jpg");
  const Image expected = reduce(image, 2);
  ASSERT_EQ(decoded.width, 1025);
  ASSERT_EQ(decoded.height, 1025);
  int worst = 0;
  for (std::size_t i = 0; i < expected.rgb.size(); ++i)
    worst = std::max(worst, std::abs(int{decoded.rgb[i]} - int{expected.rgb[i]}));
  EXPECT_LE(worst, 6);
}

TEST(LargePictures, PngIsReducedExactlyInterlacedOrNot) {
  const Image image = test::synthetic(2048, 2051);
  for (const bool interlaced : {false, true}) {
    const Bytes png = test::encode_png(test::rows_of(image), 2048, {.interlaced = interlaced, .level = 1});
    EXPECT_EQ(decode(png, "large.png"), reduce(image, 2)) << interlaced;
  }
}

TEST(LargePictures, TwentyThousandPixelsWide) {
  constexpr int kWidth = 20'000, kHeight = 2'100;
  const std::vector<std::uint8_t> grey(std::size_t{kWidth} * kHeight, 77);
  const Image jpeg =
      decode(test::encode_jpeg(grey, kWidth, kHeight, {.format = TJPF_GRAY, .subsampling = TJSAMP_GRAY}), "wide.jpg");
  const Bytes file = test::encode_png(std::vector(kHeight, std::vector<std::uint8_t>(kWidth / 8, 0xff)), kWidth,
                                      {.colour_type = PNG_COLOR_TYPE_GRAY, .depth = 1});
  const Image png = decode(file, "wide.png");
  for (const Image* image : {&jpeg, &png}) {
    EXPECT_EQ(image->width, kWidth / 2);
    EXPECT_EQ(image->height, kHeight / 2);
  }
  EXPECT_NEAR(jpeg.rgb[12'345], 77, 1);
  EXPECT_EQ(png.rgb[12'345], 255);
}

TEST(LargePictures, MayHaveFourTimesThePixelsWhereOnlyRowsAreHeld) {
  const Image image(2048, 2048);
  constexpr std::uint64_t kQuarter = 1024 * 1024;
  const Bytes rows = test::encode_png(test::rows_of(image), 2048, {.level = 1});
  const Bytes whole = test::encode_png(test::rows_of(image), 2048, {.interlaced = true, .level = 1});
  const Bytes baseline = test::encode_jpeg(image), progressive = test::encode_jpeg(image, {.progressive = true});
  const auto read = [](const Bytes& file, std::uint64_t limit) { decode(file, "x", {.max_pixels = limit}); };
  for (const Bytes* file : {&rows, &baseline}) {
    EXPECT_NO_THROW(read(*file, kQuarter));
    EXPECT_THAT(test::error_of(ErrorCode::unsupported, [&] { read(*file, kQuarter - 1); }), HasSubstr("2048 x 2048"));
  }
  for (const Bytes* file : {&whole, &progressive}) {
    EXPECT_NO_THROW(read(*file, 4 * kQuarter));
    EXPECT_THROW(read(*file, 4 * kQuarter - 1), Error);
  }
}

TEST(TruncatedPictures, GiveWhatThereIsOnlyWhenAsked) {
  const Image image = test::gradients(64, 256);
  for (const Bytes& file : {test::encode_png(test::rows_of(image), 64), test::encode_jpeg(image)}) {
    const Bytes cut = test::prefix(file, file.size() * 2 / 3);
    EXPECT_THROW(decode(cut, "cut"), Error);
    const Image half = decode(cut, "cut", {.allow_truncated = true});
    ASSERT_EQ(half.height, 256);
    EXPECT_TRUE(half.truncated);
    EXPECT_FALSE(decode(file, "whole", {.allow_truncated = true}).truncated);
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_NEAR(half.row(40)[c], image.row(40)[c], 6);
      EXPECT_NEAR(half.row(255)[c], 128, 2);
    }
    EXPECT_THAT(test::error_of(ErrorCode::invalid_input,
                               [&] { decode(test::prefix(file, 30), "cut", {.allow_truncated = true}); }),
                HasSubstr("cut: "));
  }
}

TEST(TruncatedPictures, WithoutAnyPixelAreRefused) {
  // All headers, and nothing of what follows them.
  Bytes jpeg = test::encode_jpeg(test::gradients(64, 64));
  const auto scan = std::ranges::search(jpeg, std::array{std::byte{0xff}, std::byte{0xda}});
  jpeg.erase(scan.begin() + 14, jpeg.end());
  EXPECT_EQ(test::error_of(ErrorCode::invalid_input, [&] { decode(jpeg, "cut.jpg", {.allow_truncated = true}); }),
            "cut.jpg: less than a twentieth of the picture is left");
}

}  // namespace
}  // namespace capdiff
