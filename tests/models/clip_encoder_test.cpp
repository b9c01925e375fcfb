#include "capdiff/models/clip_encoder.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/own_clip.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

class OwnClip : public testing::Test {
 protected:
  OwnClip() { write_own_clip(folder_.path()); }

  ClipEncoder encoder() const { return {ModelFolder::open(folder_.path()), *backend_}; }
  std::vector<float> text(const std::string& text) const {
    const HostTensor features = encoder().texts(std::vector{text}).features;
    return {features.values<float>().begin(), features.values<float>().end()};
  }

  TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_ = make_onednn_backend({});
};

TEST_F(OwnClip, PicturesAreThePooledTokensProjected) {
  Image picture(20, 30);
  for (std::size_t i = 0; i < picture.rgb.size(); ++i) picture.rgb[i] = static_cast<std::uint8_t>(i * 7 % 256);
  const HostTensor features = encoder().images(std::span(&picture, 1));

  ParameterStore parameters;
  parameters.add(SafetensorsFile::open(folder_.path() / "model.safetensors"));
  const auto inner =
      make_image_encoder(*backend_, Scope(parameters) / "visual" / "encoder", *own_clip_config().encoder);
  Preprocessor preprocessor;
  preprocessor.size = 16;
  const HostTensor pooled =
      backend_->download(inner->encode(backend_->upload(preprocessor.batch(std::span(&picture, 1)))).pooled);
  const HostTensor proj = parameters.get("visual.proj", {8, 6}, Init::zeros()).value;
  std::vector<double> expected(6, 0.0);
  double length = 0.0;
  for (std::size_t e = 0; e < 6; ++e) {
    for (std::size_t w = 0; w < 8; ++w)
      expected[e] += double{pooled.values<float>()[w]} * double{proj.values<float>()[w * 6 + e]};
    length += expected[e] * expected[e];
  }
  for (std::size_t e = 0; e < 6; ++e)
    EXPECT_NEAR(features.values<float>()[e], expected[e] / std::sqrt(length), 1e-5) << e;
}

TEST_F(OwnClip, TextsAreReadAtTheirEndWhateverIsBesideThem) {
  const std::vector<std::string> texts{"two dogs", "a man on a horse on the beach", "the red picture"};
  const ClipEncoder::Texts together = encoder().texts(texts);
  EXPECT_EQ(together.truncated, 0u);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::vector<float> alone = text(texts[i]);
    for (std::size_t e = 0; e < 6; ++e) EXPECT_NEAR(together.features.values<float>()[i * 6 + e], alone[e], 1e-5);
  }
  // The end is [SEP], which has not the largest id, and sees all words before it.
  EXPECT_NE(text("a dog on the beach"), text("a man on the beach"));
  EXPECT_EQ(text("Two DOGS!"), text("two dogs"));
  EXPECT_EQ(encoder().texts(std::vector<std::string>(1, "a a a a a a a a a a a")).truncated, 1u);
}

TEST_F(OwnClip, RefusesAVocabularyOfAnotherSize) {
  folder_.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\n");
  expect_error(ErrorCode::invalid_model, "6 tokens, but the model is for 18", [&] { encoder(); });
}

TEST_F(OwnClip, RefusesPicturesOfAnotherSize) {
  folder_.write("preprocessor_config.json", R"({"size": 13})");
  expect_error(ErrorCode::invalid_model, "13 pixels, but the model is for 16", [&] { encoder(); });
}

}  // namespace
}  // namespace capdiff::test
