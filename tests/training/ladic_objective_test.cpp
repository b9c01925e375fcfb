#include "capdiff/training/ladic_objective.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "capdiff/evaluation/ladic_golden.h"
#include "capdiff/training/caption_latents.h"

namespace capdiff::test {
namespace {

/// The tiny golden model with two photos of six captions, on LibTorch.
class LadicObjectiveTest : public testing::Test {
 protected:
  LadicObjectiveTest()
      : golden_(std::filesystem::path(CAPDIFF_SOURCE_DIR) / "tests/data/ladic_tiny"),
        tokenizer_(Vocabulary::load(golden_.folder() / "vocab.txt")),
        captions_(tokenizer_, golden_.config(Profile::paper).length),
        photos_(std::vector<PhotoSource>{golden_.folder() / "image.png", golden_.folder() / "image_b.png"}, 0, 1),
        model_(golden_.model(*backend_, Profile::paper)) {
    for (const char* caption :
         {"a man riding a horse", "a man on a beach", "two dogs", "a white cat and a plate", "a red cat", "the beach"})
      captions_.add(caption);
  }

  std::unique_ptr<LadicObjective> objective(const LadicTrainingOptions& options) {
    return std::make_unique<LadicObjective>(*backend_, model_, golden_.preprocessor(), &photos_,
                                            std::vector<CaptionedPhoto>{{0, {0, 1, 2}}, {1, {3, 4, 5}}}, captions_,
                                            options);
  }

  double loss(LadicObjective& objective, std::span<const Sample> samples) {
    const torch::NoGradGuard values_only;
    return objective.losses(*objective.prepare(samples)).total.item<double>();
  }

  LadicGolden golden_;
  std::unique_ptr<TorchBackend> backend_ = make_torch_backend({});
  WordPieceTokenizer tokenizer_;
  EncodedCaptions captions_;
  PhotoStore photos_;
  LadicModel model_;
};

TEST_F(LadicObjectiveTest, EverySampleIsKeyedByItsDrawAlone) {
  const auto whole = objective({.captions_per_photo = 3, .seed = 5});
  const std::vector<Sample> both{{0, 10}, {1, 11}};
  const double mean = (loss(*whole, std::span(both).first(1)) + loss(*whole, std::span(both).last(1))) / 2.0;
  EXPECT_NEAR(loss(*whole, both), mean, 1e-4);
  EXPECT_EQ(loss(*whole, both), loss(*whole, both));
  EXPECT_NE(loss(*whole, std::vector<Sample>{{0, 10}}), loss(*whole, std::vector<Sample>{{0, 12}}));
  EXPECT_NE(loss(*whole, both), loss(*objective({.captions_per_photo = 3, .seed = 6}), both));
}

TEST_F(LadicObjectiveTest, CachedLatentsGiveTheSameLosses) {
  const HostTensor latents = caption_latents(*backend_, model_.text(), captions_);
  EXPECT_EQ(latents.shape(), (Shape{6, captions_.length(), model_.text().width()}));
  const LadicTrainingOptions options{.captions_per_photo = 3, .seed = 5};
  LadicObjective cached(*backend_, model_, golden_.preprocessor(), &photos_,
                        std::vector<CaptionedPhoto>{{0, {0, 1, 2}}, {1, {3, 4, 5}}}, captions_, options, nullptr,
                        &latents);
  const std::vector<Sample> both{{0, 10}, {1, 11}};
  EXPECT_NEAR(loss(cached, both), loss(*objective(options), both), 1e-6);
  // It is these that are read: other latents, another loss.
  const HostTensor zeros(DType::f32, latents.shape());
  LadicObjective wrong(*backend_, model_, golden_.preprocessor(), &photos_,
                       std::vector<CaptionedPhoto>{{0, {0, 1, 2}}, {1, {3, 4, 5}}}, captions_, options, nullptr,
                       &zeros);
  EXPECT_GT(std::abs(loss(wrong, both) - loss(cached, both)), 1e-3);
}

TEST_F(LadicObjectiveTest, WithoutAugmentationPhotosAreOnlyResized) {
  const auto plain = objective({.image_drop = 0.0, .augment = std::nullopt, .seed = 5});
  const auto prepared = plain->prepare(std::vector<Sample>{{1, 0}});
  const HostTensor expected = golden_.preprocessor().batch(std::span(&photos_.photo(1), 1));
  const auto pixels = dynamic_cast<const LadicBatch&>(*prepared).pixels.values<float>();
  EXPECT_TRUE(std::ranges::equal(pixels, expected.values<float>()));
}

TEST_F(LadicObjectiveTest, DroppedPhotosAllLookAlike) {
  const auto dropped = objective({.captions_per_photo = 3, .image_drop = 1.0, .self_condition = 0.0, .seed = 5});
  const auto kept = objective({.captions_per_photo = 3, .image_drop = 0.0, .self_condition = 0.0, .seed = 5});
  const std::vector<Sample> sample{{0, 3}};
  EXPECT_NE(loss(*dropped, sample), loss(*kept, sample));
  // The same captions beside the other photo: only a photo that is seen makes a difference.
  const auto swapped = [&](double drop) {
    return LadicObjective(*backend_, model_, golden_.preprocessor(), &photos_,
                          std::vector<CaptionedPhoto>{{1, {0, 1, 2}}, {0, {3, 4, 5}}}, captions_,
                          {.captions_per_photo = 3, .image_drop = drop, .self_condition = 0.0, .seed = 5});
  };
  LadicObjective dropped_swapped = swapped(1.0), kept_swapped = swapped(0.0);
  EXPECT_EQ(loss(*dropped, sample), loss(dropped_swapped, sample));
  EXPECT_NE(loss(*kept, sample), loss(kept_swapped, sample));
}

TEST_F(LadicObjectiveTest, SelfConditioningFeedsADetachedFirstEstimate) {
  backend_->set_trainable([](const std::string& name) { return name.starts_with("diffuser."); });
  const auto with = objective({.captions_per_photo = 2, .self_condition = 1.0, .seed = 5});
  const auto without = objective({.captions_per_photo = 2, .self_condition = 0.0, .seed = 5});
  const std::vector<Sample> samples{{0, 0}, {1, 1}};
  EXPECT_NE(loss(*with, samples), loss(*without, samples));
  const auto batch = with->prepare(samples);
  with->losses(*batch).total.backward();
  for (const auto& [name, parameter] : backend_->trainable_parameters()) {
    if (name.find("position_embeddings") != std::string::npos) EXPECT_TRUE(parameter.grad().defined()) << name;
  }
}

TEST_F(LadicObjectiveTest, TheImageEncoderLearnsOnlyWhenItMayAndWhenItIsTime) {
  backend_->set_trainable([](const std::string&) { return true; });
  const auto encoder_has_gradient = [&](LadicObjective& trained, std::uint64_t draw) {
    for (const auto& [name, parameter] : backend_->parameters()) parameter.mutable_grad().reset();
    trained.losses(*trained.prepare(std::vector<Sample>{{0, draw}})).total.backward();
    for (const auto& [name, parameter] : backend_->parameters())
      if (name == "visual_encoder.norm.weight") return parameter.grad().defined();
    ADD_FAILURE() << "no image encoder";
    return false;
  };
  const auto frozen = objective({.image_drop = 0.0, .seed = 5});
  EXPECT_FALSE(encoder_has_gradient(*frozen, 100));
  const auto later = objective({.image_drop = 0.0, .train_image_encoder = true, .frozen_image_encoder_samples = 50});
  EXPECT_FALSE(encoder_has_gradient(*later, 49));
  EXPECT_TRUE(encoder_has_gradient(*later, 50));
}

TEST_F(LadicObjectiveTest, CachedPhotosAreWhatAFrozenEncoderSees) {
  const PhotoFeatures features = photo_features(*backend_, model_.image_encoder(), golden_.preprocessor(), photos_);
  EXPECT_EQ(features.nothing(), 2);
  LadicTrainingOptions options{.captions_per_photo = 3, .self_condition = 0.5, .augment = std::nullopt, .seed = 5};
  for (const double drop : {0.0, 1.0}) {
    options.image_drop = drop;
    LadicObjective cached(*backend_, model_, golden_.preprocessor(), &photos_,
                          std::vector<CaptionedPhoto>{{0, {0, 1, 2}}, {1, {3, 4, 5}}}, captions_, options, &features);
    for (const std::int64_t item : {0, 1}) {
      const std::vector<Sample> samples{{item, 7}};
      EXPECT_NEAR(loss(cached, samples), loss(*objective(options), samples), 1e-5) << drop << item;
    }
  }
}

TEST_F(LadicObjectiveTest, ALearnedLatentSpaceGetsGradientsAndARoundingLoss) {
  backend_->set_trainable([](const std::string&) { return true; });
  const auto gradients_of_embeddings = [&](bool train_text) {
    for (const auto& [name, parameter] : backend_->parameters()) parameter.mutable_grad().reset();
    const auto trained = objective({.self_condition = 0.0, .train_text = train_text, .seed = 5});
    const StepLosses losses = trained->losses(*trained->prepare(std::vector<Sample>{{0, 3}}));
    EXPECT_EQ(losses.parts.size(), train_text ? 3u : 2u);
    losses.total.backward();
    for (const auto& [name, parameter] : backend_->parameters())
      if (name == "space_encoder.embeddings.word_embeddings.weight") return parameter.grad().defined();
    ADD_FAILURE() << "no word embeddings";
    return false;
  };
  EXPECT_FALSE(gradients_of_embeddings(false));
  EXPECT_TRUE(gradients_of_embeddings(true));
}

}  // namespace
}  // namespace capdiff::test
