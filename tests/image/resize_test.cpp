#include "capdiff/image/resize.h"

#include <gtest/gtest.h>

#include <numeric>

#include "capdiff/base/hash.h"
#include "capdiff/formats/safetensors.h"
#include "tests/image/pictures.h"
#include "tests/support/shared.h"

namespace capdiff {
namespace {

using Pixel = std::array<int, 3>;

Pixel pixel_of(const Image& image, int row, int column) {
  const auto pixel = image.row(row).subspan(static_cast<std::size_t>(3 * column), 3);
  return {pixel[0], pixel[1], pixel[2]};
}

TEST(ResizeBicubic, EqualsPillowOnTheReferencePicture) {
  const Image resized = resize_bicubic(test::synthetic(640, 480), 224, 224);
  EXPECT_EQ(pixel_of(resized, 0, 0), (Pixel{16, 45, 74}));
  EXPECT_EQ(pixel_of(resized, 0, 223), (Pixel{130, 159, 188}));
  EXPECT_EQ(pixel_of(resized, 100, 50), (Pixel{248, 62, 27}));
  EXPECT_EQ(pixel_of(resized, 223, 223), (Pixel{205, 234, 66}));
  EXPECT_EQ(std::accumulate(resized.rgb.begin(), resized.rgb.end(), 0), 19196651);
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(resized.rgb))),
            "a15dabdb955add8de66de5afcc856926705a2751eacc4632bf7246007682990c");
}

TEST(ResizeBicubic, EqualsPillowOnGoldenPictures) {
  CAPDIFF_SHARED_OR_SKIP(path, "goldens/ladic_tiny/golden.safetensors");
  const SafetensorsFile goldens = SafetensorsFile::open(path);
  for (const std::string name : {"image", "image_b"}) {
    const HostTensor source = goldens.tensor(name + ".rgb_u8"), expected = goldens.tensor(name + ".resized_u8");
    const auto from = source.values<std::uint8_t>(), to = expected.values<std::uint8_t>();
    const Image image(static_cast<int>(source.shape()[1]), static_cast<int>(source.shape()[0]),
                      {from.begin(), from.end()});
    const Image resized =
        resize_bicubic(image, static_cast<int>(expected.shape()[1]), static_cast<int>(expected.shape()[0]));
    EXPECT_EQ(resized.rgb, std::vector<std::uint8_t>(to.begin(), to.end())) << name;
  }
}

TEST(ResizeBicubic, KeepsConstantPictures) {
  const Image grey(37, 11, std::vector<std::uint8_t>(37 * 11 * 3, 137));
  for (const auto& [width, height] : {std::pair{5, 3}, {224, 224}, {37, 40}, {1, 1}})
    EXPECT_EQ(resize_bicubic(grey, width, height),
              Image(width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(width * height) * 3, 137)));
}

TEST(ResizeBicubic, OvershootIsCutNotWrapped) {
  Image edge(8, 1);
  for (std::size_t i = 12; i < 24; ++i) edge.rgb[i] = 255;
  const Image enlarged = resize_bicubic(edge, 32, 1);
  EXPECT_TRUE(std::is_sorted(enlarged.rgb.begin(), enlarged.rgb.end()));
  EXPECT_EQ(enlarged.rgb.front(), 0);
  EXPECT_EQ(enlarged.rgb.back(), 255);
}

TEST(ResizeBicubic, SameSizeChangesNothing) {
  const Image image = test::synthetic(31, 17);
  EXPECT_EQ(resize_bicubic(image, 31, 17), image);
}

TEST(ResizeBicubic, BoxIsACropBeforehand) {
  const Image image = test::synthetic(60, 50);
  const Box box{7, 5, 32, 21};
  Image cropped(box.width, box.height);
  for (int y = 0; y < box.height; ++y)
    std::copy_n(image.row(box.y + y).begin() + 3 * box.x, 3 * box.width, cropped.row(y).begin());
  EXPECT_EQ(resize_bicubic(image, box, 16, 40), resize_bicubic(cropped, 16, 40));
  EXPECT_EQ(resize_bicubic(image, box, box.width, box.height), cropped);
  EXPECT_EQ(resize_bicubic(image, box, box.width, 9), resize_bicubic(cropped, box.width, 9));
}

TEST(ResizeBicubic, WindowIsACropAfterwards) {
  const Image image = test::synthetic(60, 50);
  for (const auto& [width, height] : {std::pair{33, 28}, {90, 75}, {60, 50}, {60, 75}}) {
    const Box window{3, 6, 20, 17};
    const Image whole = resize_bicubic(image, width, height);
    EXPECT_EQ(resize_bicubic_window(image, width, height, window),
              resize_bicubic(whole, window, window.width, window.height));
  }
}

TEST(ResizeBicubic, NeedsNoMemoryForWhatIsNotKept) {
  // Enlarged in full, this picture would be 224 by 2,240,000 pixels: 1.5 GB.
  const Image tall(1, 10'000, std::vector<std::uint8_t>(30'000, 9));
  const Image middle = resize_bicubic_window(tall, 224, 2'240'000, Box{0, 1'000'000, 224, 224});
  EXPECT_EQ(middle.rgb, std::vector<std::uint8_t>(224 * 224 * 3, 9));
}

TEST(ResizeBicubic, ChecksBoxesAndSizes) {
  const Image image = test::synthetic(10, 8);
  EXPECT_THROW(resize_bicubic(image, 0, 5), Error);
  EXPECT_THROW(resize_bicubic(image, 5, -5), Error);
  EXPECT_THROW(resize_bicubic(Image(), 5, 5), Error);
  for (const Box& box : {Box{-1, 0, 4, 4}, Box{0, -1, 4, 4}, Box{7, 0, 4, 4}, Box{0, 5, 4, 4}, Box{0, 0, 0, 4},
                         Box{1, 1, 2147483647, 4}}) {
    EXPECT_THROW(resize_bicubic(image, box, 5, 5), Error);
    EXPECT_THROW(resize_bicubic_window(image, 10, 8, box), Error);
  }
}

}  // namespace
}  // namespace capdiff
