#include "capdiff/evaluation/model_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "capdiff/evaluation/clip_score.h"
#include "tests/support/clip_reference.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

TEST(ClipMetric, FindsThePicturesOfTheReferences) {
  const TemporaryFolder folder;
  write_clip_folder(ClipReference(1000), folder.path() / "clip");
  fs::create_directories(folder.path() / "photos" / "val");
  fs::copy_file(fs::path(CAPDIFF_SOURCE_DIR) / "tests/e2e/scene.png", folder.path() / "photos/val/scene.png");
  std::vector<EvaluatedCaption> captions{{"7", "the dog", {"a dog", "the cat"}, {}, "val/scene.png"}};
  const WhiteSpaceTokenizer tokenizer;
  const auto words = tokenize_images(captions, tokenizer);
  const auto metric = make_clip_metric({folder.path() / "clip/", folder.path() / "photos"});
  const MetricScores scores = metric->score({captions, words, tokenizer});

  const auto backend = make_onednn_backend({});
  const ClipScorer scorer(folder.path() / "clip", *backend);
  const std::vector<fs::path> files{folder.path() / "photos/val/scene.png"};
  const std::vector<std::string> texts{"the dog"};
  const std::vector<std::vector<std::string>> references{captions[0].references};
  const ClipScores expected = scorer.score(files, texts, references);
  EXPECT_THAT(column_names(scores), ElementsAre("CLIPScore", "RefCLIPScore"));
  EXPECT_EQ(scores.columns[0].per_image, expected.clip_score.per_image);
  EXPECT_EQ(scores.columns[1].per_image, expected.ref_clip_score->per_image);
  EXPECT_EQ(metric->signature(), "clip clip");

  captions[0].file.clear();
  expect_error(ErrorCode::unsupported, "image 7", [&] { metric->score({captions, words, tokenizer}); });
}

}  // namespace
}  // namespace capdiff::test
