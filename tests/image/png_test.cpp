#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "capdiff/image/decode.h"
#include "tests/image/pictures.h"
#include "tests/image/png_file.h"

namespace capdiff {
namespace {

using test::Bytes;
using test::encode_png;
using test::png_chunk;
using test::rows_of;
using testing::HasSubstr;
using testing::StartsWith;

TEST(DecodePng, RgbIsExact) {
  const Image image = test::synthetic(23, 11);
  EXPECT_EQ(decode(encode_png(rows_of(image), 23), "a.png"), image);
  EXPECT_EQ(decode(encode_png(rows_of(image), 23, {.interlaced = true}), "a.png"), image);
}

TEST(DecodePng, GreyOfAnyDepth) {
  const auto grey = [](std::uint8_t a, std::uint8_t b) { return Image(2, 1, {a, a, a, b, b, b}); };
  EXPECT_EQ(decode(encode_png({{7, 250}}, 2, {PNG_COLOR_TYPE_GRAY, 8}), "g.png"), grey(7, 250));
  EXPECT_EQ(decode(encode_png({{0b0100'0000}}, 2, {PNG_COLOR_TYPE_GRAY, 1}), "g.png"), grey(0, 255));
  EXPECT_EQ(decode(encode_png({{0b0110'0000}}, 2, {PNG_COLOR_TYPE_GRAY, 2}), "g.png"), grey(85, 170));
  EXPECT_EQ(decode(encode_png({{0x3c}}, 2, {PNG_COLOR_TYPE_GRAY, 4}), "g.png"), grey(51, 204));
  EXPECT_EQ(decode(encode_png({{0x12, 0xff, 0xfe, 0x00}}, 2, {PNG_COLOR_TYPE_GRAY, 16}), "g.png"), grey(0x12, 0xfe));
}

TEST(DecodePng, SixteenBitsKeepTheUpperByte) {
  const Bytes png = encode_png({{1, 99, 2, 99, 3, 99, 251, 0, 252, 0, 253, 0}}, 2, {PNG_COLOR_TYPE_RGB, 16});
  EXPECT_EQ(decode(png, "deep.png"), Image(2, 1, {1, 2, 3, 251, 252, 253}));
}

TEST(DecodePng, PaletteWithTransparency) {
  const auto palette = [](png_structp png, png_infop info) {
    const png_color colours[] = {{10, 20, 30}, {200, 100, 0}, {5, 6, 7}};
    png_set_PLTE(png, info, colours, 3);
    const png_byte alpha[] = {255, 0};
    png_set_tRNS(png, info, alpha, 2, nullptr);
  };
  const Bytes png = encode_png({{0b0001'1000}}, 3, {PNG_COLOR_TYPE_PALETTE, 2, false, palette});
  EXPECT_EQ(decode(png, "p.png"), Image(3, 1, {10, 20, 30, 255, 255, 255, 5, 6, 7}));
}

TEST(DecodePng, AlphaIsCompositedOnWhite) {
  const Bytes rgba = encode_png({{10, 20, 30, 255, 10, 20, 30, 0, 0, 100, 255, 128}}, 3, {PNG_COLOR_TYPE_RGB_ALPHA});
  EXPECT_EQ(decode(rgba, "a.png"), Image(3, 1, {10, 20, 30, 255, 255, 255, 127, 177, 255}));
  const Bytes grey = encode_png({{40, 255, 40, 0}}, 2, {PNG_COLOR_TYPE_GRAY_ALPHA, 8, true});
  EXPECT_EQ(decode(grey, "ga.png"), Image(2, 1, {40, 40, 40, 255, 255, 255}));
}

TEST(DecodePng, TransparentColourIsWhite) {
  const auto key = [](png_structp png, png_infop info) {
    const png_color_16 colour = {0, 1, 2, 3, 0};
    png_set_tRNS(png, info, nullptr, 0, &colour);
  };
  const Bytes png = encode_png({{1, 2, 3, 1, 2, 4}}, 2, {PNG_COLOR_TYPE_RGB, 8, false, key});
  EXPECT_EQ(decode(png, "k.png"), Image(2, 1, {255, 255, 255, 1, 2, 4}));
}

TEST(DecodePng, AppliesExifOrientation) {
  const Image image = test::synthetic(5, 3);
  const Bytes png = encode_png(rows_of(image), 5, {.exif = test::orientation_tiff(2)});
  EXPECT_EQ(decode(png, "a.png"), flip_horizontal(image));
  EXPECT_EQ(decode(png, "a.png", {.apply_exif_orientation = false}), image);
}

TEST(DecodePng, GammaDoesNotChangePixels) {
  const Image image = test::synthetic(5, 3);
  const auto gamma = [](png_structp png, png_infop info) { png_set_gAMA(png, info, 1.0); };
  EXPECT_EQ(decode(encode_png(rows_of(image), 5, {PNG_COLOR_TYPE_RGB, 8, false, gamma}), "a.png"), image);
}

TEST(DecodePng, EveryTruncationIsAnError) {
  for (const bool interlaced : {false, true}) {
    const Bytes png = encode_png(rows_of(test::synthetic(12, 9)), 12, {.interlaced = interlaced});
    for (std::size_t length = 0; length < png.size(); ++length)
      EXPECT_THROW(decode(test::prefix(png, length), "cut.png"), Error) << length;
    const std::string message =
        test::error_of(ErrorCode::invalid_input, [&] { decode(test::prefix(png, png.size() - 20), "cut.png"); });
    EXPECT_EQ(message, "cut.png: broken PNG image: the file ends early");
  }
}

TEST(DecodePng, EveryDamagedByteIsAnError) {
  // Signature, lengths, types, bodies and checksums: nothing in a file without ancillary chunks is unprotected.
  const Bytes png = encode_png(rows_of(test::synthetic(6, 5)), 6);
  for (std::size_t i = 0; i < png.size(); ++i) {
    Bytes damaged = png;
    damaged[i] ^= std::byte{0x10};
    EXPECT_THROW(decode(damaged, "damaged.png", {.max_pixels = 1 << 20}), Error) << i;
  }
}

TEST(DecodePng, AncillaryChecksumsCount) {
  const Bytes png = encode_png(rows_of(test::synthetic(6, 5)), 6);
  constexpr std::size_t kHeaderEnd = 8 + 25;
  const auto head = std::span(png).first(kHeaderEnd), rest = std::span(png).subspan(kHeaderEnd);
  Bytes text = png_chunk("tEXt", test::bytes_of(std::string_view("Title\0cat", 9)));
  EXPECT_EQ(decode(test::joined({head, text, rest}), "t.png"), test::synthetic(6, 5));
  text.back() ^= std::byte{1};
  EXPECT_THROW(decode(test::joined({head, text, rest}), "t.png"), Error);
}

TEST(DecodePng, ChecksSizesBeforeDecoding) {
  const auto file = [](std::uint32_t width, std::uint32_t height) {
    Bytes header;
    for (const std::uint32_t side : {width, height})
      for (int shift = 24; shift >= 0; shift -= 8) header.push_back(std::byte(side >> shift & 0xff));
    for (const int value : {8, 6, 0, 0, 0}) header.push_back(std::byte(value));
    return test::joined({test::bytes_of("\x89PNG\r\n\x1a\n"), png_chunk("IHDR", header), png_chunk("IDAT", Bytes(16)),
                         png_chunk("IEND", {})});
  };
  const auto refused = [&](std::uint32_t width, std::uint32_t height) {
    return test::error_of(ErrorCode::unsupported, [&] { decode(file(width, height), "huge.png"); });
  };
  EXPECT_EQ(refused(100'000, 100'000), "huge.png: 100000 x 100000 pixels are more than the limit of 715827880 pixels");
  EXPECT_EQ(refused(40'000, 40'000), "huge.png: 40000 x 40000 pixels are more than the limit of 715827880 pixels");
  EXPECT_THAT(refused(0x7fffffff, 0x7fffffff), StartsWith("huge.png: 2147483647 x 2147483647 pixels are more"));
  EXPECT_THAT(refused(1, 100'000'000), HasSubstr("limit of 1000000 pixels a side"));
  EXPECT_THAT(test::error_of(ErrorCode::invalid_input, [&] { decode(file(0, 5), "none.png"); }),
              StartsWith("none.png: broken PNG"));
}

TEST(DecodePng, OfAMovingPictureTheFirstFrameIsTaken) {
  const Image first = test::synthetic(6, 5);
  const Bytes png = encode_png(rows_of(first), 6), other = encode_png(rows_of(test::gradients(6, 5)), 6);
  constexpr std::size_t kHeaderEnd = 8 + 25, kTrailer = 12;
  const Bytes control = test::joined(
      {Bytes(4), Bytes(3), test::bytes_of("\6"), Bytes(3), test::bytes_of("\5"), Bytes(8), Bytes(4), Bytes(2)});
  Bytes second = control;
  second[3] = std::byte{1};
  const Bytes data(other.begin() + kHeaderEnd + 8, other.end() - 4 - kTrailer);
  const Bytes moving =
      test::joined({std::span(png).first(kHeaderEnd),
                    png_chunk("acTL", {std::byte{0}, std::byte{0}, std::byte{0}, std::byte{2}, std::byte{0},
                                       std::byte{0}, std::byte{0}, std::byte{0}}),
                    png_chunk("fcTL", control), std::span(png).subspan(kHeaderEnd, png.size() - kHeaderEnd - kTrailer),
                    png_chunk("fcTL", second), png_chunk("fdAT", test::joined({Bytes(3), test::bytes_of("\2"), data})),
                    std::span(png).last(kTrailer)});
  EXPECT_EQ(decode(moving, "moving.png"), first);
}

TEST(DecodePng, DamageNeverCrashes) {
  // The checksums are mended, so that damage reaches the decoder.
  std::mt19937 random(11);
  const Bytes png = encode_png(rows_of(test::synthetic(9, 9)), 9, {.interlaced = true});
  constexpr std::size_t kDataBegin = 8 + 25 + 8;
  const Bytes data(png.begin() + kDataBegin, png.end() - 4 - 12);
  int failures = 0;
  for (int round = 0; round < 300; ++round) {
    Bytes damaged = data;
    damaged[random() % damaged.size()] = std::byte(random() & 0xff);
    const Bytes file = test::joined({std::span(png).first(8 + 25), png_chunk("IDAT", damaged), png_chunk("IEND", {})});
    try {
      decode(file, "damaged.png");
    } catch (const Error&) {
      ++failures;
    }
  }
  EXPECT_GT(failures, 0);
}

}  // namespace
}  // namespace capdiff
