#include "capdiff/image/preprocess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "capdiff/formats/safetensors.h"
#include "capdiff/image/decode.h"
#include "capdiff/image/resize.h"
#include "tests/image/pictures.h"
#include "tests/support/shared.h"

namespace capdiff {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using Fit = Preprocessor::Fit;

/// Expects equality within 1e-6 of element i of `actual` and of `expected`.
void expect_near(std::span<const float> actual, std::span<const float> expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 1e-6) << i;
}

TEST(Preprocessor, NormalisesTheReferencePicture) {
  const HostTensor pixels = Preprocessor().pixels(test::synthetic(640, 480));
  ASSERT_EQ(pixels.shape(), (Shape{3, 224, 224}));
  const auto at = [&](int row, int column) {
    std::vector<float> channels;
    for (int c = 0; c < 3; ++c)
      channels.push_back(pixels.values<float>()[static_cast<std::size_t>((c * 224 + row) * 224 + column)]);
    return channels;
  };
  expect_near(at(0, 0), std::vector{-1.5586877f, -1.0767475f, -0.42793486f});
  expect_near(at(100, 50), std::vector{1.8281472f, -0.82161546f, -1.0962781f});
}

TEST(Preprocessor, EqualsLadicGoldens) {
  CAPDIFF_SHARED_OR_SKIP(folder, "goldens/ladic_tiny");
  const SafetensorsFile goldens = SafetensorsFile::open(folder / "golden.safetensors");
  for (const std::string name : {"image", "image_b"}) {
    const HostTensor expected = goldens.tensor(name + ".pixel_values");
    const Preprocessor preprocessor{.size = static_cast<int>(expected.shape()[2])};
    expect_near(preprocessor.pixels(read_image(folder / (name + ".png"))).values<float>(), expected.values<float>());
  }
}

TEST(Preprocessor, EqualsClipGoldens) {
  CAPDIFF_SHARED_OR_SKIP(path, "goldens/clip_tiny/golden.safetensors");
  const SafetensorsFile goldens = SafetensorsFile::open(path);
  const HostTensor expected = goldens.tensor("image");
  const Preprocessor preprocessor{.size = static_cast<int>(expected.shape()[2]), .fit = Fit::center_crop};
  for (int i = 0; i < 2; ++i) {
    const HostTensor source = goldens.tensor("raw_u8." + std::to_string(i));
    const auto rgb = source.values<std::uint8_t>();
    const Image image(static_cast<int>(source.shape()[1]), static_cast<int>(source.shape()[0]),
                      {rgb.begin(), rgb.end()});
    expect_near(preprocessor.pixels(image).values<float>(), expected.slice(i, i + 1).values<float>());
  }
}

TEST(Preprocessor, CropsTheMiddleOfTheLongerSide) {
  // 45 x 30 becomes 15 x 10; the 10 columns from (15 - 10) / 2 = 2.5, to even 2, are kept.
  const Image image = test::synthetic(45, 30);
  const Preprocessor preprocessor{.size = 10, .fit = Fit::center_crop};
  EXPECT_EQ(preprocessor.resize(image), resize_bicubic(resize_bicubic(image, 15, 10), Box{2, 0, 10, 10}, 10, 10));
  // 30 x 51 becomes 10 x 17; 3.5 rounds to 4.
  const Image tall = test::synthetic(30, 51);
  EXPECT_EQ(preprocessor.resize(tall), resize_bicubic(resize_bicubic(tall, 10, 17), Box{0, 4, 10, 10}, 10, 10));
}

TEST(Preprocessor, BatchIsThePicturesOneAfterTheOther) {
  const std::vector<Image> images = {test::synthetic(20, 31), test::gradients(12, 12), test::synthetic(7, 5)};
  const Preprocessor preprocessor{.size = 12};
  const HostTensor batch = preprocessor.batch(images);
  ASSERT_EQ(batch.shape(), (Shape{3, 3, 12, 12}));
  for (std::size_t i = 0; i < images.size(); ++i) {
    const HostTensor one = preprocessor.pixels(images[i]);
    const auto row = batch.values<float>().subspan(i * 3 * 144, 3 * 144);
    EXPECT_TRUE(std::equal(row.begin(), row.end(), one.values<float>().begin()));
  }
  EXPECT_EQ(preprocessor.batch({}).shape(), (Shape{0, 3, 12, 12}));
  EXPECT_THROW(preprocessor.pixels(Image()), Error);
}

TEST(PreprocessorConfig, RoundTrips) {
  for (const Fit fit : {Fit::stretch, Fit::center_crop}) {
    const Preprocessor preprocessor{.size = 96, .fit = fit, .mean = {0.5f, 0.25f, 0.1f}, .std = {0.3f, 0.5f, 1.0f}};
    EXPECT_EQ(preprocessor_from_json(to_json(preprocessor), "p.json"), preprocessor);
  }
}

TEST(PreprocessorConfig, ReadsTheWaysSizesAreWritten) {
  const auto read = [](const char* text) { return preprocessor_from_json(json::parse(text), "p.json"); };
  EXPECT_EQ(read("{}"), Preprocessor());
  EXPECT_EQ(read(R"({"size": 32})"), (Preprocessor{.size = 32}));
  EXPECT_EQ(read(R"({"size": {"height": 32, "width": 32}, "resample": 3, "do_resize": true})"),
            (Preprocessor{.size = 32}));
  EXPECT_EQ(read(R"({"size": 32, "crop_size": 32, "do_center_crop": true})"),
            (Preprocessor{.size = 32, .fit = Fit::center_crop}));
  EXPECT_EQ(
      read(R"({"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, "do_center_crop": true})"),
      (Preprocessor{.size = 32, .fit = Fit::center_crop}));
}

TEST(PreprocessorConfig, ErrorsNameFileAndKey) {
  const auto error = [](ErrorCode code, const char* text) {
    return test::error_of(code, [&] { preprocessor_from_json(json::parse(text), "m/p.json"); });
  };
  const std::pair<const char*, const char*> malformed[] = {
      {"[]", "m/p.json"},
      {R"({"size": "big"})", "size"},
      {R"({"size": 0})", "size"},
      {R"({"size": 1e9})", "size"},
      {R"({"size": {"height": 32}})", "size.width"},
      {R"({"do_center_crop": true, "size": {"shortest_edge": -1}})", "size.shortest_edge"},
      {R"({"image_mean": [0.5, 0.5]})", "image_mean"},
      {R"({"image_mean": [0.5, 0.5, "x"]})", "image_mean"},
      {R"({"image_std": [0.5, 0.5, 0]})", "image_std"},
      {R"({"do_resize": 1})", "do_resize"},
  };
  for (const auto& [text, key] : malformed) {
    const std::string message = error(ErrorCode::invalid_model, text);
    EXPECT_THAT(message, HasSubstr("m/p.json")) << text;
    EXPECT_THAT(message, HasSubstr(key)) << text;
  }
  const std::pair<const char*, const char*> unsupported[] = {
      {R"({"do_resize": false})", "do_resize"},
      {R"({"do_normalize": false})", "do_normalize"},
      {R"({"resample": 2})", "resample"},
      {R"({"rescale_factor": 1.0})", "rescale_factor"},
      {R"({"size": {"height": 32, "width": 48}})", "size"},
      {R"({"size": {"shortest_edge": 32}})", "size.shortest_edge"},
      {R"({"size": 256, "crop_size": 224, "do_center_crop": true})", "crop_size"},
  };
  for (const auto& [text, key] : unsupported) {
    const std::string message = error(ErrorCode::unsupported, text);
    EXPECT_THAT(message, HasSubstr("m/p.json")) << text;
    EXPECT_THAT(message, HasSubstr(key)) << text;
  }
}

}  // namespace
}  // namespace capdiff
