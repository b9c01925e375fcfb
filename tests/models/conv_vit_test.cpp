#include "capdiff/models/conv_vit.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/models/image_encoders.h"

namespace capdiff {
namespace {

ConvVitConfig tiny() {
  return {.image_size = 20, .stages = {{4, 0, false}, {6, 1, true}}, .depth = 1, .heads = 2, .mlp = 12};
}

TEST(ConvVit, GivesATokenForEveryCellOfTheLastGrid) {
  const auto backend = make_onednn_backend({});
  ParameterStore parameters;
  parameters.initialise_missing(1);
  const ConvVit encoder(*backend, Scope(parameters), tiny());
  std::vector<std::string> probed;
  const ImageTokens tokens = encoder.encode(backend->upload(HostTensor(DType::f32, {3, 3, 20, 20})),
                                            [&](std::string_view name, const Value&) { probed.emplace_back(name); });
  EXPECT_EQ(tokens.patches.shape(), (Shape{3, 25, 6}));
  EXPECT_EQ(tokens.pooled.shape(), (Shape{3, 6}));
  EXPECT_EQ(probed, (std::vector<std::string>{"stage.0", "stage.1", "block.0"}));
}

TEST(ConvVit, SeesEachPictureOnItsOwn) {
  const auto backend = make_onednn_backend({});
  ParameterStore parameters;
  parameters.initialise_missing(1);
  const ConvVit encoder(*backend, Scope(parameters), tiny());
  HostTensor both(DType::f32, {2, 3, 20, 20});
  for (std::size_t i = 0; i < both.values<float>().size(); ++i)
    both.mutable_values<float>()[i] = static_cast<float>(i % 17) / 8.0f - 1.0f;
  const HostTensor together = backend->download(encoder.encode(backend->upload(both)).patches);
  for (std::int64_t b = 0; b < 2; ++b) {
    const HostTensor alone = backend->download(encoder.encode(backend->upload(both.slice(b, b + 1))).patches);
    for (std::size_t i = 0; i < alone.values<float>().size(); ++i)
      EXPECT_NEAR(alone.values<float>()[i], together.slice(b, b + 1).values<float>()[i], 1e-5);
  }
}

TEST(ImageEncoders, ConfigurationsSurviveJson) {
  for (const ImageEncoderConfig& config :
       {ImageEncoderConfig(tiny()), ImageEncoderConfig(VisionTransformerConfig{.image_size = 32, .patch = 8})}) {
    const nlohmann::json json = to_json(config);
    EXPECT_EQ(to_json(image_encoder_config(JsonReader(json, "test"))), json);
  }
  nlohmann::json unknown = to_json(ImageEncoderConfig(tiny()));
  unknown["depht"] = 3;
  EXPECT_THROW(image_encoder_config(JsonReader(unknown, "test")), Error);
}

TEST(ImageEncoders, RefuseSizesThatDoNotFit) {
  nlohmann::json none = to_json(ImageEncoderConfig(tiny())), odd = none;
  none["stages"] = nlohmann::json::array();
  odd["heads"] = 4;
  EXPECT_THROW(image_encoder_config(JsonReader(none, "test")), Error);
  EXPECT_THROW(image_encoder_config(JsonReader(odd, "test")), Error);
}

}  // namespace
}  // namespace capdiff
