#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <webp/encode.h>

#include <random>

#include "capdiff/image/decode.h"
#include "tests/image/pictures.h"

namespace capdiff {
namespace {

using test::Bytes;
using testing::HasSubstr;
using testing::StartsWith;

/// A file of RGBA pixels, lossless.
Bytes encode_webp_rgba(const std::vector<std::uint8_t>& rgba, int width, int height) {
  std::uint8_t* data = nullptr;
  const std::size_t size = WebPEncodeLosslessRGBA(rgba.data(), width, height, 4 * width, &data);
  const auto bytes = std::as_bytes(std::span(data, size));
  Bytes file(bytes.begin(), bytes.end());
  WebPFree(data);
  return file;
}

Bytes encode_webp(const Image& image, bool lossless = true) {
  std::uint8_t* data = nullptr;
  const int stride = static_cast<int>(image.stride());
  const std::size_t size = lossless ? WebPEncodeLosslessRGB(image.rgb.data(), image.width, image.height, stride, &data)
                                    : WebPEncodeRGB(image.rgb.data(), image.width, image.height, stride, 95, &data);
  const auto bytes = std::as_bytes(std::span(data, size));
  Bytes file(bytes.begin(), bytes.end());
  WebPFree(data);
  return file;
}

/// A number of `size` bytes, the lowest first.
Bytes number(std::uint32_t value, int size) {
  Bytes bytes;
  for (int i = 0; i < size; ++i) bytes.push_back(std::byte(value >> 8 * i & 0xff));
  return bytes;
}

Bytes webp_chunk(std::string_view type, const Bytes& body) {
  return test::joined(
      {test::bytes_of(type), number(static_cast<std::uint32_t>(body.size()), 4), body, Bytes(body.size() % 2)});
}

Bytes riff(std::initializer_list<std::span<const std::byte>> chunks) {
  const Bytes body = test::joined(chunks);
  return test::joined(
      {test::bytes_of("RIFF"), number(static_cast<std::uint32_t>(body.size()) + 4, 4), test::bytes_of("WEBP"), body});
}

/// The chunk of pixels in a file that has nothing else.
Bytes pixels_of(const Bytes& file) {
  return {file.begin() + 12, file.end()};
}

constexpr std::uint32_t kAnimated = 0x02, kExif = 0x08;

Bytes extended_header(std::uint32_t flags, int width, int height) {
  return webp_chunk("VP8X", test::joined({number(flags, 4), number(static_cast<std::uint32_t>(width - 1), 3),
                                          number(static_cast<std::uint32_t>(height - 1), 3)}));
}

Bytes frame(int x, int y, const Image& image) {
  return webp_chunk(
      "ANMF", test::joined({number(static_cast<std::uint32_t>(x / 2), 3), number(static_cast<std::uint32_t>(y / 2), 3),
                            number(static_cast<std::uint32_t>(image.width - 1), 3),
                            number(static_cast<std::uint32_t>(image.height - 1), 3), number(100, 3), number(0, 1),
                            pixels_of(encode_webp(image))}));
}

TEST(DecodeWebp, LosslessIsExact) {
  const Image image = test::synthetic(23, 11);
  EXPECT_EQ(decode(encode_webp(image), "a.webp"), image);
}

TEST(DecodeWebp, LossyIsClose) {
  const Image image = test::gradients(64, 48);
  const Image decoded = decode(encode_webp(image, /*lossless=*/false), "a.webp");
  ASSERT_EQ(decoded.width, 64);
  for (std::size_t i = 0; i < image.rgb.size(); ++i) EXPECT_NEAR(decoded.rgb[i], image.rgb[i], 12) << i;
}

TEST(DecodeWebp, AlphaIsCompositedOnWhite) {
  const Bytes file = encode_webp_rgba({10, 20, 30, 255, 10, 20, 30, 0, 0, 100, 255, 128}, 3, 1);
  EXPECT_EQ(decode(file, "a.webp"), Image(3, 1, {10, 20, 30, 255, 255, 255, 127, 177, 255}));
}

TEST(DecodeWebp, TakesTheFirstFrame) {
  const Image first = test::synthetic(6, 4), second = test::gradients(10, 8);
  const Bytes file =
      riff({extended_header(kAnimated, 10, 8), webp_chunk("ANIM", Bytes(6)), frame(2, 4, first), frame(0, 0, second)});
  const Image decoded = decode(file, "moving.webp");
  ASSERT_EQ(decoded.width, 10);
  ASSERT_EQ(decoded.height, 8);
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 10; ++x)
      for (std::size_t c = 0; c < 3; ++c) {
        const bool within = x >= 2 && x < 8 && y >= 4;
        const int expected = within ? first.row(y - 4)[3 * static_cast<std::size_t>(x - 2) + c] : 255;
        EXPECT_EQ(decoded.row(y)[3 * static_cast<std::size_t>(x) + c], expected) << x << ", " << y;
      }
}

TEST(DecodeWebp, AppliesExifOrientation) {
  const Image image = test::synthetic(5, 3);
  const auto with_orientation = [&](const Bytes& exif) {
    return riff({extended_header(kExif, 5, 3), pixels_of(encode_webp(image)), webp_chunk("EXIF", exif)});
  };
  const Bytes bare = with_orientation(test::orientation_tiff(2));
  EXPECT_EQ(decode(bare, "a.webp"), flip_horizontal(image));
  EXPECT_EQ(decode(bare, "a.webp", {.apply_exif_orientation = false}), image);
  const Bytes marked = test::joined({test::bytes_of(std::string_view("Exif\0\0", 6)), test::orientation_tiff(6)});
  EXPECT_EQ(decode(with_orientation(marked), "a.webp").width, 3);
}

TEST(DecodeWebp, EveryTruncationIsAnError) {
  for (const bool lossless : {true, false}) {
    const Bytes file = encode_webp(test::synthetic(40, 40), lossless);
    for (std::size_t length = 0; length < file.size(); ++length)
      EXPECT_THROW(decode(test::prefix(file, length), "cut.webp"), Error) << length;
  }
  const Bytes file = encode_webp(test::synthetic(40, 40));
  EXPECT_EQ(test::error_of(ErrorCode::invalid_input,
                           [&] { decode(test::prefix(file, file.size() / 2), "holiday/cut.webp"); }),
            "holiday/cut.webp: broken WebP image: the file ends early");
}

TEST(DecodeWebp, TakesWhatThereIsOfACutFileOnlyWhenAsked) {
  const Image image = test::gradients(64, 256);
  const Bytes file = encode_webp(image, /*lossless=*/false);
  const Image half = decode(test::prefix(file, file.size() * 3 / 4), "cut.webp", {.allow_truncated = true});
  ASSERT_EQ(half.height, 256);
  EXPECT_TRUE(half.truncated);
  for (const std::size_t i : {0u, 1u, 2u}) {
    EXPECT_NEAR(half.row(20)[i], image.row(20)[i], 12);
    EXPECT_EQ(half.row(255)[i], 128);
  }
  EXPECT_THROW(decode(test::prefix(file, 30), "cut.webp", {.allow_truncated = true}), Error);
}

TEST(DecodeWebp, ChecksSizesBeforeDecoding) {
  const Bytes file = riff(
      {extended_header(kAnimated, 16384, 16384), webp_chunk("ANIM", Bytes(6)), frame(0, 0, test::synthetic(4, 4))});
  EXPECT_THAT(test::error_of(ErrorCode::unsupported, [&] { decode(file, "huge.webp"); }),
              StartsWith("huge.webp: 16384 x 16384 pixels are more than the limit"));
  const Bytes small = encode_webp(test::synthetic(16, 16));
  EXPECT_NO_THROW(decode(small, "small.webp", {.max_pixels = 256}));
  EXPECT_THROW(decode(small, "small.webp", {.max_pixels = 255}), Error);
}

TEST(DecodeWebp, FramesStayOnTheCanvas) {
  const Bytes file =
      riff({extended_header(kAnimated, 8, 8), webp_chunk("ANIM", Bytes(6)), frame(4, 4, test::synthetic(6, 6))});
  EXPECT_THAT(test::error_of(ErrorCode::invalid_input, [&] { decode(file, "wide.webp"); }),
              HasSubstr("wide.webp: broken WebP image"));
}

TEST(DecodeWebp, DamageNeverCrashes) {
  std::mt19937 random(5);
  const Image image = test::synthetic(24, 24);
  for (const Bytes& file :
       {encode_webp(image), encode_webp(image, false),
        riff({extended_header(kAnimated, 24, 24), webp_chunk("ANIM", Bytes(6)), frame(0, 0, image)})})
    for (int round = 0; round < 300; ++round) {
      Bytes damaged = file;
      for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] = std::byte(random() & 0xff);
      for (const bool allow : {false, true}) {
        try {
          decode(damaged, "damaged.webp", {.max_pixels = 1 << 20, .allow_truncated = allow});
        } catch (const Error&) {
        }
      }
    }
}

}  // namespace
}  // namespace capdiff
