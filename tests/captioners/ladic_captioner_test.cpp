#include <gtest/gtest.h>

#include "capdiff/captioners/captioner.h"
#include "capdiff/image/decode.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace capdiff::test {
namespace {

/// Seven pictures that differ.
std::vector<Image> pictures() {
  std::vector<Image> images;
  for (int k = 0; k < 7; ++k) {
    Image image(40 + 3 * k, 33 + 2 * k);
    for (std::size_t i = 0; i < image.rgb.size(); ++i)
      image.rgb[i] = static_cast<std::uint8_t>((i * static_cast<std::size_t>(7 + 2 * k) + (i % 31) * 13) % 256);
    images.push_back(std::move(image));
  }
  return images;
}

class LadicCaptioning : public testing::Test {
 protected:
  void SetUp() override { write_tiny_model(folder_.path()); }

  std::vector<Caption> captions(const BackendOptions& options, std::span<const Image> images,
                                const GenerationOptions& generation = {.steps = 8, .seed = 3, .candidates = 2}) const {
    const auto backend = make_onednn_backend(options);
    return load_captioner(ModelFolder::open(folder_.path()), *backend)->caption(images, generation);
  }

  TemporaryFolder folder_;
};

/// Scores are means of log-probabilities: equal scores in double precision mean equal logits.
void expect_same(const Caption& a, const Caption& b, bool exactly) {
  ASSERT_EQ(a.candidates.size(), b.candidates.size());
  for (std::size_t k = 0; k < a.candidates.size(); ++k) {
    EXPECT_EQ(a.candidates[k].text, b.candidates[k].text);
    if (exactly)
      EXPECT_EQ(a.candidates[k].score, b.candidates[k].score);
    else
      EXPECT_NEAR(a.candidates[k].score, b.candidates[k].score, 1e-3);
  }
}

TEST_F(LadicCaptioning, DeterministicCaptionsDependNeitherOnTheBatchNorOnThreads) {
  const std::vector<Image> images = pictures();
  for (const DType compute : {DType::f32, DType::bf16}) {
    const auto together = captions({.compute = compute, .threads = 2, .deterministic = true}, images);
    for (const int threads : {1, 2}) {
      for (std::size_t i = 0; i < images.size(); ++i) {
        const auto alone =
            captions({.compute = compute, .threads = threads, .deterministic = true}, std::span(images).subspan(i, 1));
        expect_same(alone.front(), together[i], /*exactly=*/true);
      }
    }
  }
}

TEST_F(LadicCaptioning, BatchesGiveTheSameCaptions) {
  const std::vector<Image> images = pictures();
  const auto together = captions({}, images);
  for (std::size_t i = 0; i < images.size(); ++i)
    expect_same(captions({}, std::span(images).subspan(i, 1)).front(), together[i], /*exactly=*/false);
}

TEST_F(LadicCaptioning, NoiseDependsOnSeedAndPictureAndCandidate) {
  const std::vector<Image> images = pictures();
  const std::vector<Image> twice{images[0], images[0], images[1]};
  const auto drawn = captions({}, twice);
  expect_same(drawn[0], drawn[1], /*exactly=*/false);
  EXPECT_NE(drawn[0].candidates[0].score, drawn[0].candidates[1].score);
  EXPECT_NE(drawn[0].candidates[0].score, drawn[2].candidates[0].score);
  const auto reseeded = captions({}, std::span(twice).first(1), {.steps = 8, .seed = 4, .candidates = 2});
  EXPECT_NE(drawn[0].candidates[0].score, reseeded[0].candidates[0].score);
}

TEST_F(LadicCaptioning, GuidanceChangesTheOutcomeAndZeroLeavesTheOtherBranchOut) {
  const std::vector<Image> images = pictures();
  const auto with = captions({}, std::span(images).first(1), {.steps = 4, .guidance = 1.0});
  const auto without = captions({}, std::span(images).first(1), {.steps = 4, .guidance = 0.0});
  EXPECT_NE(with[0].candidates[0].score, without[0].candidates[0].score);
}

}  // namespace
}  // namespace capdiff::test
