#include "capdiff/training/prefix_objective.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "capdiff/evaluation/prefix_golden.h"
#include "tests/training/toy_prefix.h"

namespace capdiff::test {
namespace {

/// A tiny model with features of two photos and four captions, on LibTorch.
class PrefixObjectiveTest : public testing::Test {
 protected:
  PrefixObjectiveTest() {
    features_.features = HostTensor::of({2, 3}, std::vector<float>{0.5f, -1.0f, 2.0f, -0.25f, 1.5f, 1.0f});
    features_.readable = {true, true};
    for (const char* caption : {"a man", "a dog on a horse", "two dogs", "a red man"}) captions_.add(caption);
  }

  PrefixObjective objective(double image_drop, std::uint64_t seed = 5) const {
    return {*backend_, model_, features_, items_, captions_, {.image_drop = image_drop, .seed = seed}};
  }

  static double loss(PrefixObjective objective, std::span<const Sample> samples) {
    const torch::NoGradGuard values_only;
    return objective.losses(*objective.prepare(samples)).total.item<double>();
  }

  static PrefixConfig config(std::int64_t words) {
    PrefixConfig config = toy_prefix_config();
    config.text.vocab_size = words;
    config.clip.embed = config.denoiser.mapper.feature = 3;
    return config;
  }

  WordVocabulary vocabulary_{{"START", "END", "UNK", "PAD", "a", "dog", "dogs", "man", "on", "two"}, "test"};
  std::unique_ptr<TorchBackend> backend_ = make_torch_backend({});
  ParameterStore parameters_ = random_parameters();
  PrefixModel model_{*backend_, parameters_, config(vocabulary_.size()), /*with_image_tower=*/false};
  ImageFeatures features_;
  EncodedCaptions captions_ = word_captions(vocabulary_, model_.config().length);
  std::vector<CaptionedPhoto> items_{{0, {0, 1}}, {1, {2, 3}}};
};

TEST_F(PrefixObjectiveTest, EveryCaptionIsASampleOfItsOwn) {
  const PrefixObjective whole = objective(0.0);
  EXPECT_EQ(whole.size(), 4);
  const auto prepared = whole.prepare(std::vector<Sample>{{3, 0}, {1, 1}});
  const auto& batch = dynamic_cast<const PrefixBatch&>(*prepared);
  EXPECT_EQ(batch.ids.shape(), (Shape{2, model_.config().length}));
  const auto ids = batch.ids.values<std::int64_t>();
  EXPECT_EQ(ids[0], vocabulary_.id("a"));
  EXPECT_EQ(ids[1], vocabulary_.unk());
  EXPECT_EQ(ids[3], vocabulary_.pad());
  EXPECT_TRUE(std::ranges::equal(batch.features.values<float>().first(3), features_.row(1)));
  EXPECT_TRUE(std::ranges::equal(batch.features.values<float>().last(3), features_.row(0)));
}

TEST_F(PrefixObjectiveTest, EverySampleIsKeyedByItsDrawAlone) {
  const std::vector<Sample> both{{0, 10}, {3, 11}};
  const auto one = [&](std::size_t i) { return loss(objective(0.5), std::span(both).subspan(i, 1)); };
  EXPECT_NEAR(loss(objective(0.5), both), (one(0) + one(1)) / 2.0, 1e-5);
  EXPECT_EQ(loss(objective(0.5), both), loss(objective(0.5), both));
  EXPECT_NE(one(0), loss(objective(0.5), std::vector<Sample>{{0, 12}}));
  EXPECT_NE(loss(objective(0.5), both), loss(objective(0.5, /*seed=*/6), both));
}

TEST_F(PrefixObjectiveTest, BothNoisesAreDrawnAnew) {
  const auto prepared = objective(0.0).prepare(std::vector<Sample>{{0, 10}});
  const auto& noise = dynamic_cast<const PrefixBatch&>(*prepared).noise;
  EXPECT_FALSE(std::ranges::equal(noise.embedding.values<float>(), noise.diffusion.values<float>()));
}

TEST_F(PrefixObjectiveTest, DroppedPhotosAreFeaturesOfZeros) {
  const auto prepared = objective(1.0).prepare(std::vector<Sample>{{0, 10}, {3, 11}});
  for (const float value : dynamic_cast<const PrefixBatch&>(*prepared).features.values<float>()) EXPECT_EQ(value, 0.0f);
  const std::vector<Sample> sample{{0, 10}};
  EXPECT_NE(loss(objective(1.0), sample), loss(objective(0.0), sample));
}

TEST_F(PrefixObjectiveTest, LogsTheThreeLosses) {
  PrefixObjective trained = objective(0.0);
  const StepLosses losses = trained.losses(*trained.prepare(std::vector<Sample>{{0, 10}}));
  ASSERT_EQ(losses.parts.size(), 3u);
  double sum = 0;
  for (const auto& [name, value] : losses.parts) sum += value.item<double>();
  EXPECT_NEAR(losses.total.item<double>(), sum, 1e-5);
}

TEST(PrefixLosses, AreThoseOfTheReference) {
  const PrefixGolden golden(std::filesystem::path(CAPDIFF_SOURCE_DIR) / "tests/data/prefix_tiny");
  const auto backend = make_torch_backend({});
  const ParameterStore parameters = golden.parameters();
  const PrefixModel model(*backend, parameters, golden.training_config(), /*with_image_tower=*/false);
  const SafetensorsFile& tensors = golden.tensors();
  PrefixBatch batch;
  batch.features = tensors.tensor("train.image_feature");
  batch.ids = tensors.tensor("train.input_ids");
  batch.noise = {tensors.tensor("train.n1_embedding_noise"), tensors.tensor("train.n2_diffusion_noise"),
                 tensors.tensor("train.t")};
  const torch::NoGradGuard values_only;
  const StepLosses losses = prefix_losses(*backend, model, batch);
  EXPECT_NEAR(losses.total.item<double>(), tensors.tensor("train.loss_mean").values<float>()[0], 1e-5);
  const auto mean = [&](const char* name) {
    const auto values = tensors.tensor(name);
    double sum = 0;
    for (const float value : values.values<float>()) sum += value;
    return sum / static_cast<double>(values.numel());
  };
  ASSERT_EQ(losses.parts.size(), 3u);
  EXPECT_NEAR(losses.parts[0].second.item<double>(), mean("train.mse"), 1e-5);
  EXPECT_NEAR(losses.parts[1].second.item<double>(), mean("train.decoder_nll"), 1e-5);
}

}  // namespace
}  // namespace capdiff::test
