#include "capdiff/image/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "tests/image/pictures.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::Bytes;
using testing::HasSubstr;
using testing::StartsWith;

int max_difference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height) return 256;
  int worst = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) worst = std::max(worst, std::abs(int{a.rgb[i]} - int{b.rgb[i]}));
  return worst;
}

std::string invalid(std::string_view content, const char* name = "photo.jpg") {
  return test::error_of(ErrorCode::invalid_input, [&] { decode(test::bytes_of(content), name); });
}

/// Overwrites the sides in the first frame header of a JPEG file.
Bytes with_jpeg_size(Bytes jpeg, unsigned width, unsigned height) {
  for (std::size_t i = 2; i + 9 < jpeg.size(); ++i) {
    if (jpeg[i] != std::byte{0xff} || (jpeg[i + 1] != std::byte{0xc0} && jpeg[i + 1] != std::byte{0xc2})) continue;
    jpeg[i + 5] = std::byte(height >> 8), jpeg[i + 6] = std::byte(height & 0xff);
    jpeg[i + 7] = std::byte(width >> 8), jpeg[i + 8] = std::byte(width & 0xff);
    return jpeg;
  }
  ADD_FAILURE() << "no frame header";
  return jpeg;
}

TEST(DecodeJpeg, GivesThePictureBack) {
  const Image picture = test::gradients(53, 37);
  for (const TJSAMP subsampling : {TJSAMP_444, TJSAMP_422, TJSAMP_420})
    for (const bool progressive : {false, true}) {
      const Bytes jpeg = test::encode_jpeg(picture, {.subsampling = subsampling, .progressive = progressive});
      EXPECT_LE(max_difference(decode(jpeg, "photo.jpg"), picture), 6);
    }
}

TEST(DecodeJpeg, ReplicatesGreyscale) {
  const Bytes jpeg = test::encode_jpeg(test::gradients(20, 12), {.subsampling = TJSAMP_GRAY});
  const Image image = decode(jpeg, "grey.jpg");
  ASSERT_EQ(image.width, 20);
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) {
    EXPECT_EQ(image.rgb[i], image.rgb[i + 1]);
    EXPECT_EQ(image.rgb[i], image.rgb[i + 2]);
  }
  EXPECT_GT(*std::max_element(image.rgb.begin(), image.rgb.end()),
            *std::min_element(image.rgb.begin(), image.rgb.end()));
}

TEST(DecodeJpeg, ConvertsCmyk) {
  // Stored inverted: no cyan, half magenta, no yellow, and a black plate that lets 200 / 255 of the light through.
  constexpr int kSide = 16;
  std::vector<std::uint8_t> cmyk;
  for (int i = 0; i < kSide * kSide; ++i) cmyk.insert(cmyk.end(), {255, 128, 255, 200});
  const Image image = decode(test::encode_jpeg(cmyk, kSide, kSide, {.format = TJPF_CMYK}), "print.jpg");
  Image expected(kSide, kSide);
  for (std::size_t i = 0; i < expected.rgb.size(); i += 3) {
    expected.rgb[i] = expected.rgb[i + 2] = 200;
    expected.rgb[i + 1] = 100;
  }
  EXPECT_LE(max_difference(image, expected), 2);
}

TEST(DecodeJpeg, AcceptsSubsamplingsWithoutAName) {
  // 16 x 16 pixels of (200, 60, 30); sampling factors Y 2x2, Cb 2x1, Cr 1x2, as some cameras write.
  constexpr std::string_view kHex =
      "ffd8ffe000104a46494600010100000100010000ffdb0043000302020302020303030304030304050805050404050a070706"
      "080c0a0c0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffdb004301030404050405"
      "09050509140d0b0d141414141414141414141414141414141414141414141414141414141414141414141414141414141414"
      "1414141414141414ffc00011080010001003012200022101031201ffc4001500010100000000000000000000000000000007"
      "ffc40014100100000000000000000000000000000000ffc400160101010100000000000000000000000000000708ffc40014"
      "110100000000000000000000000000000000ffda000c03010002110311003f0097808b8d803fffd9";
  Bytes jpeg;
  for (std::size_t i = 0; i < kHex.size(); i += 2)
    jpeg.push_back(std::byte(std::stoul(std::string(kHex.substr(i, 2)), nullptr, 16)));
  const Image image = decode(jpeg, "camera.jpg");
  ASSERT_EQ(image.width, 16);
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) {
    EXPECT_NEAR(image.rgb[i], 200, 2);
    EXPECT_NEAR(image.rgb[i + 1], 60, 2);
    EXPECT_NEAR(image.rgb[i + 2], 30, 2);
  }
}

TEST(DecodeJpeg, EveryTruncationIsAnError) {
  for (const bool progressive : {false, true}) {
    const Bytes jpeg =
        test::encode_jpeg(test::synthetic(40, 40), {.subsampling = TJSAMP_420, .progressive = progressive});
    for (std::size_t length = 0; length < jpeg.size(); length += length < 700 ? 1 : 7)
      EXPECT_THROW(decode(test::prefix(jpeg, length), "cut.jpg"), Error) << length;
    for (std::size_t missing = 1; missing <= 40; ++missing)
      EXPECT_THROW(decode(test::prefix(jpeg, jpeg.size() - missing), "cut.jpg"), Error) << missing;
    EXPECT_NO_THROW(decode(jpeg, "whole.jpg"));
  }
}

TEST(DecodeJpeg, TruncationNamesTheFile) {
  const Bytes jpeg = test::encode_jpeg(test::synthetic(40, 40));
  const std::string message =
      test::error_of(ErrorCode::invalid_input, [&] { decode(test::prefix(jpeg, jpeg.size() / 2), "holiday/cut.jpg"); });
  EXPECT_THAT(message, StartsWith("holiday/cut.jpg: broken JPEG image: "));
}

TEST(DecodeJpeg, ChecksThePixelLimitBeforeDecoding) {
  const Bytes huge = with_jpeg_size(test::encode_jpeg(test::synthetic(16, 16)), 65'000, 65'000);
  const std::string message = test::error_of(ErrorCode::unsupported, [&] { decode(huge, "huge.jpg"); });
  EXPECT_EQ(message, "huge.jpg: 65000 x 65000 pixels are more than the limit of 715827880 pixels");
  const Bytes small = test::encode_jpeg(test::synthetic(16, 16));
  EXPECT_NO_THROW(decode(small, "small.jpg", {.max_pixels = 256}));
  EXPECT_THROW(decode(small, "small.jpg", {.max_pixels = 255}), Error);
}

TEST(DecodeJpeg, DamageNeverCrashes) {
  std::mt19937 random(7);
  const Bytes jpeg =
      test::with_exif(test::encode_jpeg(test::synthetic(24, 24), {.subsampling = TJSAMP_420, .progressive = true}),
                      test::orientation_tiff(6));
  int failures = 0;
  for (int round = 0; round < 400; ++round) {
    Bytes damaged = jpeg;
    for (int i = 0; i < 4; ++i) damaged[random() % damaged.size()] = std::byte(random() & 0xff);
    try {
      decode(damaged, "damaged.jpg", {.max_pixels = 1 << 20});
    } catch (const Error&) {
      ++failures;
    }
  }
  EXPECT_GT(failures, 0);
}

TEST(Decode, GoesByContentNotByName) {
  const Bytes jpeg = test::encode_jpeg(test::gradients(8, 8));
  EXPECT_EQ(decode(jpeg, "photo.png"), decode(jpeg, "photo.jpg"));
}

TEST(Decode, SaysWhatAFileIsInstead) {
  EXPECT_EQ(invalid(""), "photo.jpg: is empty, expected a JPEG, PNG or WebP image");
  EXPECT_EQ(invalid("a cat on a mat\n"), "photo.jpg: not a JPEG, PNG or WebP image (looks like a text file)");
  EXPECT_THAT(invalid("GIF89a..."), HasSubstr("not a JPEG, PNG or WebP image (looks like a GIF image)"));
  EXPECT_THAT(invalid(std::string_view("RIFF\x10\0\0\0WEBPVP8 ", 16)), StartsWith("photo.jpg: broken WebP image: "));
  EXPECT_THAT(invalid(std::string_view("\0\1\2\3", 4)), HasSubstr("looks like a file of unknown format"));
  EXPECT_THAT(invalid("\xff\xd8"), HasSubstr("not a JPEG, PNG or WebP image"));
  EXPECT_THAT(invalid("\xff\xd8\xff garbage"), StartsWith("photo.jpg: broken JPEG image: "));
  EXPECT_THAT(invalid("\x89PNG\r\n\x1a\n garbage", "x.png"), StartsWith("x.png: broken PNG image: "));
}

class ReadImage : public testing::Test {
 protected:
  std::filesystem::path write(const char* name, const Bytes& content) const {
    return folder_.write(name, {reinterpret_cast<const char*>(content.data()), content.size()});
  }

  const test::TemporaryFolder folder_;
};

TEST_F(ReadImage, DecodesAFile) {
  const Bytes jpeg = test::encode_jpeg(test::gradients(8, 8));
  EXPECT_EQ(read_image(write("a.jpg", jpeg)), decode(jpeg, "a.jpg"));
}

TEST_F(ReadImage, NamesWhatCannotBeRead) {
  const auto path = folder_.path() / "absent.jpg";
  EXPECT_THAT(test::error_of(ErrorCode::not_found, [&] { read_image(path); }), HasSubstr(path.string()));
  EXPECT_THAT(test::error_of(ErrorCode::invalid_input, [&] { read_image(folder_.path()); }),
              HasSubstr(folder_.path().string()));
  const auto empty = write("empty.jpg", {});
  EXPECT_EQ(test::error_of(ErrorCode::invalid_input, [&] { read_image(empty); }),
            empty.string() + ": is empty, expected a JPEG, PNG or WebP image");
}

}  // namespace
}  // namespace capdiff
