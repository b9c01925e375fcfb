#include "capdiff/evaluation/report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace capdiff {
namespace {

const std::vector<EvaluatedCaption> kCaptions{
    {"7", "a dog runs on the grass", {"A dog runs on the grass.", "The dog is running over a lawn."}},
    {"8", "two men sit on a bench", {"Two men are sitting on a bench.", "Men on a bench"}},
    {"9", "a dog runs on the grass", {"A red car.", "A car on a road"}}};

TEST(Report, HoldsEveryMetricForCorpusAndImages) {
  const EvaluationReport report = score_captions(kCaptions, LowerNoPunctuationTokenizer());
  std::vector<std::string> names;
  for (const auto& [name, value] : report.corpus) names.push_back(name);
  EXPECT_THAT(names, testing::ElementsAre("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D"));
  EXPECT_NEAR(report.per_image.at("7").at("BLEU-4"), 1.0, 1e-6);
  EXPECT_GT(report.per_image.at("7").at("CIDEr-D"), report.per_image.at("9").at("CIDEr-D"));
  EXPECT_EQ(report.images, 3u);
  EXPECT_EQ(report.distinct_captions, 2u);
  EXPECT_THAT(report.signature, testing::HasSubstr("references 6"));
}

TEST(Report, JsonHasRawScalesAndTheTablePercent) {
  const EvaluationReport report = score_captions(kCaptions, LowerNoPunctuationTokenizer());
  const nlohmann::json json = to_json(report);
  EXPECT_EQ(json.at("corpus").at("BLEU-1").get<double>(), report.corpus[0].second);
  EXPECT_TRUE(json.at("skipped").contains("METEOR"));
  EXPECT_THAT(to_table(report), testing::HasSubstr(fmt::format("{:.2f}", 100 * report.corpus[0].second)));
}

}  // namespace
}  // namespace capdiff
