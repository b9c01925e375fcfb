#include "capdiff/models/clip.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/clip_reference.h"
#include "tests/support/expect_error.h"
#include "tests/support/own_clip.h"

namespace capdiff::test {
namespace {

TEST(ClipImageTower, ComputesWhatDoublePrecisionDoes) {
  const ClipReference clip;
  const Array pixels = random({3, 3, 12, 12}, 7, -2.0, 2.0);
  const auto backend = make_onednn_backend({});
  const ParameterStore parameters = clip.parameters();
  const ClipImageTower tower(*backend, Scope(parameters) / "visual", clip.config);
  expect_close(*backend, tower.features(upload(*backend, pixels)), clip.image_features(pixels));
  EXPECT_EQ(tower.tokens(upload(*backend, pixels)).shape(), (Shape{3, 10, 8}));
}

TEST(ClipTextTower, ComputesWhatDoublePrecisionDoes) {
  const ClipReference clip;
  const std::vector<std::vector<std::int64_t>> rows{{522, 7, 300, 19, 523, 0, 0, 0, 0},
                                                    {522, 523, 4, 0, 0, 523, 0, 0, 0}};
  HostTensor ids(DType::i64, {2, 9});
  auto next = ids.mutable_values<std::int64_t>().begin();
  for (const auto& row : rows) next = std::ranges::copy(row, next).out;
  const auto backend = make_onednn_backend({});
  const ParameterStore parameters = clip.parameters();
  const ClipTextTower tower(*backend, Scope(parameters), clip.config);
  expect_close(*backend, tower.features(ids, places_of_largest(ids)), clip.text_features(rows));
}

TEST(ClipTextTower, WhatFollowsTheEndHasNoInfluence) {
  const ClipReference clip;
  const auto backend = make_onednn_backend({});
  const ParameterStore parameters = clip.parameters();
  const ClipTextTower tower(*backend, Scope(parameters), clip.config);
  const std::array<std::int64_t, 4> bare{522, 7, 300, 523};
  const std::array<std::int64_t, 9> padded{522, 7, 300, 523, 5, 6, 0, 0, 0};
  const HostTensor a = backend->download(tower.features(HostTensor::of({1, 4}, bare), std::array{std::int64_t{3}}));
  const HostTensor b = backend->download(tower.features(HostTensor::of({1, 9}, padded), std::array{std::int64_t{3}}));
  for (std::size_t i = 0; i < a.values<float>().size(); ++i)
    EXPECT_NEAR(a.values<float>()[i], b.values<float>()[i], 1e-6) << i;
}

TEST(ClipTextTower, RefusesIdsThatItHasNoPlaceFor) {
  const ClipReference clip;
  const auto backend = make_onednn_backend({});
  const ParameterStore parameters = clip.parameters();
  const ClipTextTower tower(*backend, Scope(parameters), clip.config);
  const std::array<std::int64_t, 1> end{0};
  expect_error(ErrorCode::internal, "[1, 25]", [&] { tower.features(HostTensor(DType::i64, {1, 25}), end); });
  expect_error(ErrorCode::internal, "i64", [&] { tower.features(HostTensor(DType::f32, {1, 9}), end); });
  expect_error(ErrorCode::internal, "1 ends of 2", [&] { tower.features(HostTensor(DType::i64, {2, 9}), end); });
  const std::array<std::int64_t, 1> beyond{524};
  expect_error(ErrorCode::invalid_input, "524", [&] { tower.features(HostTensor::of({1, 1}, beyond), end); });
}

TEST(Clip, ProbesBothBranchesOfEveryBlock) {
  const ClipReference clip;
  const auto backend = make_onednn_backend({});
  const ParameterStore parameters = clip.parameters();
  const ClipImageTower tower(*backend, Scope(parameters) / "visual", clip.config);
  std::map<std::string, HostTensor, std::less<>> probed;
  tower.features(upload(*backend, random({1, 3, 12, 12}, 3)),
                 [&](std::string_view name, const Value& value) { probed.emplace(name, backend->download(value)); });
  std::vector<std::string> names;
  for (const auto& [name, value] : probed) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"block0", "block0.attn_out", "block0.mlp_out", "block1", "block1.attn_out",
                                             "block1.mlp_out", "conv1", "embed", "ln_post_cls", "ln_pre"}));
  for (std::size_t i = 0; i < probed.at("block0").values<float>().size(); ++i)
    EXPECT_NEAR(probed.at("block0").values<float>()[i],
                probed.at("ln_pre").values<float>()[i] + probed.at("block0.attn_out").values<float>()[i] +
                    probed.at("block0.mlp_out").values<float>()[i],
                1e-5)
        << i;
}

TEST(Clip, ActivationsDiffer) {
  ClipReference clip;
  const Array pixels = random({1, 3, 12, 12}, 7);
  const auto backend = make_onednn_backend({});
  clip.config.activation = Activation::gelu;
  const ParameterStore parameters = clip.parameters();
  const ClipImageTower tower(*backend, Scope(parameters) / "visual", clip.config);
  const HostTensor gelu = backend->download(tower.features(upload(*backend, pixels)));
  const Array quick = clip.image_features(pixels);
  double difference = 0.0;
  for (std::size_t i = 0; i < quick.values.size(); ++i)
    difference = std::max(difference, std::abs(quick.values[i] - double{gelu.values<float>()[i]}));
  EXPECT_GT(difference, 1e-4);
}

TEST(ClipConfig, SurvivesJson) {
  ClipConfig gelu = ClipReference().config;
  gelu.activation = Activation::gelu;
  for (const ClipConfig& config : {gelu, own_clip_config()}) {
    const nlohmann::json json = config.to_json();
    const ClipConfig read = ClipConfig::from_json(JsonReader(json, "config.json"));
    EXPECT_EQ(read.to_json(), json);
    EXPECT_EQ(read.image_size(), config.image_size());
    EXPECT_EQ(read.text.tokens, config.text.tokens);
  }
  // Folders that say nothing of tokens have CLIP's.
  nlohmann::json old = gelu.to_json();
  old.erase("init_std");
  old["text_encoder"].erase("tokenizer");
  EXPECT_EQ(ClipConfig::from_json(JsonReader(old, "config.json")).to_json(), gelu.to_json());
}

TEST(ClipConfig, RefusesWhatDoesNotFit) {
  const nlohmann::json good = ClipReference().config.to_json();
  const auto refused = [&](const char* pointer, const nlohmann::json& value, const std::string& message) {
    nlohmann::json bad = good;
    bad[nlohmann::json::json_pointer(pointer)] = value;
    expect_error(ErrorCode::invalid_model, message,
                 [&] { ClipConfig::from_json(JsonReader(bad, "config.json", ErrorCode::invalid_model)); });
  };
  refused("/model_type", "bert", "model_type");
  refused("/image_encoder/heads", 3, "3 heads");
  refused("/image_encoder/patch", 13, "patch");
  refused("/text_encoder/vocab_size", -1, "vocab_size");
  refused("/text_encoder/width", 1 << 20, "width");
  refused("/text_encoder/lenght", 9, "lenght");
  refused("/activation", "relu", "activation");
  refused("/image_encoder/type", "conv-vit", "stages");
  refused("/text_encoder/tokenizer", "words", "tokenizer");
}

}  // namespace
}  // namespace capdiff::test
