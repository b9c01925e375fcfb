// BLEU, ROUGE-L and CIDEr-D against the scorers of the COCO caption evaluation.
#include <gtest/gtest.h>

#include "capdiff/metrics/bleu.h"
#include "capdiff/metrics/cider_d.h"
#include "capdiff/metrics/rouge_l.h"
#include "tests/metrics/metric_goldens.h"
#include "tests/support/shared.h"

namespace capdiff {
namespace {

void expect_bleu(const std::vector<ScoredImage>& images, const nlohmann::ordered_json& expected) {
  const auto results = bleu(images);
  for (std::size_t n = 1; n <= 4; ++n) {
    CAPDIFF_EXPECT_METRIC(results[n - 1], expected, "Bleu_" + std::to_string(n));
  }
}

class CocoFiles : public ::testing::TestWithParam<const char*> {};

TEST_P(CocoFiles, EqualTheReference) {
  CAPDIFF_SHARED_OR_SKIP(folder, "goldens/metrics");
  const auto images = tokenize_images(test::coco_images(folder, GetParam()), WhiteSpaceTokenizer());
  const auto expected = test::read_json(folder / (std::string(GetParam()) + "_expected.json"));
  ASSERT_FALSE(images.empty());
  expect_bleu(images, expected);
  CAPDIFF_EXPECT_METRIC(rouge_l(images), expected, "ROUGE_L");
  CAPDIFF_EXPECT_METRIC(cider_d(images), expected, "CIDEr");
}

TEST_P(CocoFiles, AreTheSameWithoutPunctuation) {
  CAPDIFF_SHARED_OR_SKIP(folder, "goldens/metrics");
  const auto captions = test::coco_images(folder, GetParam());
  const auto plain = tokenize_images(captions, WhiteSpaceTokenizer());
  const auto lower = tokenize_images(captions, LowerNoPunctuationTokenizer());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(lower[i].candidate, plain[i].candidate);
    EXPECT_EQ(lower[i].references, plain[i].references);
  }
}

INSTANTIATE_TEST_SUITE_P(Metrics, CocoFiles, ::testing::Values("loo", "sys"));

TEST(CocoMetrics, EdgeCasesEqualTheReference) {
  CAPDIFF_SHARED_OR_SKIP(file, "goldens/metrics/edge_cases.json");
  const auto golden = test::read_json(file);
  int scored = 0;
  for (const auto& edge_case : golden.at("cases")) {
    if (!edge_case.contains("expected")) continue;
    SCOPED_TRACE(edge_case.at("name").get<std::string>());
    const auto& expected = edge_case.at("expected");
    const auto images = test::edge_case_images(edge_case);
    expect_bleu(images, expected);
    CAPDIFF_EXPECT_METRIC(cider_d(images), expected, "CIDEr");
    CAPDIFF_EXPECT_METRIC(rouge_l(test::edge_case_images(edge_case, cut_at_spaces)), expected, "ROUGE_L");
    ++scored;
  }
  EXPECT_GT(scored, 0);
}

TEST(CocoMetrics, PublishedExamplesEqualTheReference) {
  CAPDIFF_SHARED_OR_SKIP(file, "goldens/metrics/published.json");
  const auto golden = test::read_json(file);
  int scored = 0;
  for (const auto& example : golden.at("cases")) {
    if (!example.contains("recomputed")) continue;
    SCOPED_TRACE(example.at("name").get<std::string>());
    std::vector<ScoredImage> images;
    for (std::size_t i = 0; i < example.at("tokens_candidates").size(); ++i) {
      images.push_back({std::to_string(i), test::words(example.at("tokens_candidates").at(i).get<std::string>()),
                        test::cut_all(example.at("tokens_references").at(i))});
    }
    const auto& expected = example.at("recomputed");
    expect_bleu(images, expected);
    CAPDIFF_EXPECT_METRIC(rouge_l(images), expected, "ROUGE_L");
    CAPDIFF_EXPECT_METRIC(cider_d(images), expected, "CIDEr");
    ++scored;
  }
  EXPECT_GT(scored, 0);
}

TEST(CocoMetrics, CiderWithForeignDocumentFrequencies) {
  CAPDIFF_SHARED_OR_SKIP(folder, "goldens/metrics");
  const auto golden = test::read_json(folder / "cider_external_df.json");
  std::vector<std::vector<Tokens>> corpus;
  for (const auto& references : golden.at("corpus_images")) corpus.push_back(test::cut_all(references));
  const DocumentFrequencies frequencies(corpus);
  EXPECT_EQ(frequencies.images(), golden.at("n_images").get<std::int64_t>());
  auto images = tokenize_images(test::coco_images(folder, "loo"), WhiteSpaceTokenizer());
  images.resize(golden.at("eval_first_n_of_loo").get<std::size_t>());
  const auto result = cider_d(images, frequencies);
  EXPECT_NEAR(result.corpus, golden.at("expected_mean").get<double>(), test::kMetricTolerance);
  const auto expected = golden.at("expected_per_image").get<std::vector<double>>();
  ASSERT_EQ(result.per_image.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(result.per_image[i], expected[i], test::kMetricTolerance) << i;
  }
}

}  // namespace
}  // namespace capdiff
