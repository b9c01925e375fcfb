#include "capdiff/training/clip_objective.h"

#include <gtest/gtest.h>

#include <cmath>

#include "capdiff/training/photo_features.h"
#include "tests/support/own_clip.h"
#include "tests/support/temporary_folder.h"
#include "tests/training/toy_recipe.h"

namespace capdiff::test {
namespace {

/// Four photos with two captions each, and a CLIP with random weights.
class ClipObjectiveTest : public testing::Test {
 protected:
  ClipObjectiveTest() {
    write_toy_data(folder_.path());
    parameters_.initialise_missing(4);
    for (const char* caption : {"a red picture", "the red picture", "two dogs", "a dog on the beach",
                                "a man on a horse", "the horse", "the green beach", "a green picture"})
      captions_.add(caption);
    preprocessor_.size = 16;
    std::vector<PhotoSource> sources;
    for (int i = 0; i < 4; ++i) sources.emplace_back(folder_.path() / "images" / (std::to_string(i) + ".jpg"));
    photos_ = std::make_unique<PhotoStore>(sources, 0, 1);
    model_ = std::make_unique<ClipModel>(*backend_, parameters_, own_clip_config());
  }

  ClipObjective objective(const ClipTrainingOptions& options, const PhotoFeatures* features = nullptr) {
    return {*backend_,
            *model_,
            preprocessor_,
            *photos_,
            {{0, {0, 1}}, {1, {2, 3}}, {2, {4, 5}}, {3, {6, 7}}},
            captions_,
            tokenizer_.vocabulary(),
            options,
            features};
  }

  static const ClipBatch& clip(const std::unique_ptr<Batch>& batch) { return dynamic_cast<const ClipBatch&>(*batch); }
  double loss(ClipObjective& objective, std::span<const Sample> samples) {
    return objective.losses(*objective.prepare(samples)).total.item<double>();
  }

  TemporaryFolder folder_;
  std::unique_ptr<TorchBackend> backend_ = make_torch_backend({.threads = 1});
  ParameterStore parameters_;
  WordPieceTokenizer tokenizer_{Vocabulary(own_clip_vocabulary(), "")};
  EncodedCaptions captions_{tokenizer_, 12};
  Preprocessor preprocessor_;
  std::unique_ptr<PhotoStore> photos_;
  std::unique_ptr<ClipModel> model_;
};

const std::vector<Sample> kEpoch{{2, 0}, {0, 1}, {3, 2}, {1, 3}};

TEST_F(ClipObjectiveTest, LossIsTheMeanCrossEntropyOfBothDirections) {
  ClipObjective trained = objective({.augment = std::nullopt, .seed = 5});
  const auto prepared = trained.prepare(kEpoch);
  const torch::NoGradGuard no_grad;
  const Value pooled = model_->image_tower().encoder().encode(backend_->upload(clip(prepared).pixels)).pooled;
  const HostTensor photos = backend_->download(model_->image_features(pooled));
  const HostTensor texts = backend_->download(model_->text_features(clip(prepared).captions));
  const auto logit = [&](std::size_t i, std::size_t j) {
    double sum = 0;
    for (std::size_t e = 0; e < 6; ++e)
      sum += double{photos.values<float>()[i * 6 + e]} * double{texts.values<float>()[j * 6 + e]};
    return sum / 0.07;
  };
  double expected = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    double row = 0, column = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      row += std::exp(logit(i, j));
      column += std::exp(logit(j, i));
    }
    expected += (std::log(row) + std::log(column) - 2 * logit(i, i)) / 8.0;
  }
  EXPECT_NEAR(trained.losses(*prepared).total.item<double>(), expected, 1e-4);
}

TEST_F(ClipObjectiveTest, APhotoIsNotHeldAgainstItself) {
  ClipObjective trained = objective({.augment = std::nullopt, .seed = 5});
  EXPECT_EQ(loss(trained, std::vector<Sample>{{1, 7}, {1, 8}}), 0.0);
  EXPECT_GT(loss(trained, std::vector<Sample>{{1, 7}, {2, 8}}), 0.0);
}

TEST_F(ClipObjectiveTest, WhatASampleIsDependsOnItsNumberAlone) {
  ClipObjective trained = objective({.word_drop = 0.5, .seed = 5});
  const auto together = trained.prepare(kEpoch), alone = trained.prepare(std::span(kEpoch).subspan(2, 1));
  const auto row = [](const HostTensor& tensor, std::size_t i, std::size_t size) {
    const auto values = tensor.values<std::int64_t>().subspan(i * size, size);
    return std::vector<std::int64_t>(values.begin(), values.end());
  };
  EXPECT_EQ(row(clip(together).captions.ids, 2, 12), row(clip(alone).captions.ids, 0, 12));
  const std::size_t pixels = 3 * 16 * 16;
  EXPECT_TRUE(std::ranges::equal(clip(together).pixels.values<float>().subspan(2 * pixels, pixels),
                                 clip(alone).pixels.values<float>()));
  bool differs = false;
  for (std::uint64_t draw = 0; draw < 8; ++draw)
    differs = differs || row(clip(trained.prepare(std::vector<Sample>{{3, draw}})).captions.ids, 0, 12) !=
                             row(clip(alone).captions.ids, 0, 12);
  EXPECT_TRUE(differs);
}

TEST_F(ClipObjectiveTest, DroppedWordsLeaveTheEndsOfACaption) {
  const auto prepared = objective({.word_drop = 1.0, .seed = 5}).prepare(kEpoch);
  const Vocabulary& vocabulary = tokenizer_.vocabulary();
  const auto ids = clip(prepared).captions.ids.values<std::int64_t>();
  for (std::size_t row = 0; row < 4; ++row) {
    EXPECT_EQ(ids[row * 12], vocabulary.cls());
    EXPECT_EQ(std::ranges::count(ids.subspan(row * 12, 12), vocabulary.sep()), 1);
    EXPECT_GE(std::ranges::count(ids.subspan(row * 12, 12), vocabulary.mask()), 2);
    for (const std::int64_t id : ids.subspan(row * 12, 12))
      EXPECT_TRUE(id == vocabulary.cls() || id == vocabulary.sep() || id == vocabulary.pad() ||
                  id == vocabulary.mask());
  }
}

TEST_F(ClipObjectiveTest, CachedPhotosAreWhatAFrozenEncoderSees) {
  const PhotoFeatures features = photo_features(*backend_, model_->image_tower().encoder(), preprocessor_, *photos_);
  ClipObjective cached = objective({.augment = std::nullopt, .seed = 5}, &features);
  ClipObjective looked = objective({.augment = std::nullopt, .seed = 5});
  EXPECT_NEAR(loss(cached, kEpoch), loss(looked, kEpoch), 1e-5);
  EXPECT_EQ(clip(cached.prepare(kEpoch)).pixels.numel(), 0);
}

TEST_F(ClipObjectiveTest, TheEncoderLearnsOnlyWhenItMay) {
  backend_->set_trainable([](const std::string&) { return true; });
  const auto learns = [&](bool may, const std::string& wanted) {
    for (const auto& [name, parameter] : backend_->parameters()) parameter.mutable_grad().reset();
    ClipObjective trained = objective({.train_image_encoder = may, .seed = 5});
    trained.losses(*trained.prepare(kEpoch)).total.backward();
    for (const auto& [name, parameter] : backend_->parameters())
      if (name == wanted) return parameter.grad().defined();
    ADD_FAILURE() << "no " << wanted;
    return false;
  };
  EXPECT_FALSE(learns(false, "visual.encoder.norm.weight"));
  EXPECT_TRUE(learns(true, "visual.encoder.norm.weight"));
  for (const char* name :
       {"visual.proj.transposed", "text_projection.transposed", "token_embedding.weight", "logit_scale"})
    EXPECT_TRUE(learns(false, name)) << name;
}

TEST_F(ClipObjectiveTest, TheScaleIsAtMostAHundred) {
  EXPECT_NEAR(model_->scale().item<double>(), 1.0 / 0.07, 1e-4);
  backend_->load_parameter("logit_scale", HostTensor::of({}, std::vector<float>{9.0f}));
  EXPECT_NEAR(model_->scale().item<double>(), 100.0, 1e-3);
}

}  // namespace
}  // namespace capdiff::test
