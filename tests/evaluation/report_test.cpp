#include "capdiff/evaluation/report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "capdiff/evaluation/metric_choice.h"
#include "tests/metrics/meteor_data.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const LowerNoPunctuationTokenizer kTokenizer;
const std::vector<EvaluatedCaption> kCaptions{
    {"7", "a dog runs on the grass", {"A dog runs on the grass.", "The dog is running over a lawn."}},
    {"8", "two men sit on a bench", {"Two men are sitting on a bench.", "Men on a bench"}, {"two men", "a bench"}},
    {"9\n\"x\"", "a dog runs on the grass", {"A red car.", "A car on a road"}}};

EvaluationReport report_of(const std::vector<std::string>& metrics, const MetricOptions& options = {}) {
  const MetricChoice choice = choose_metrics(metrics, options);
  EvaluationReport report = score_captions(PreparedCaptions(kCaptions, kTokenizer), choice.metrics);
  report.skipped.insert(choice.skipped.begin(), choice.skipped.end());
  return report;
}

std::vector<std::string> names(const EvaluationReport& report) {
  std::vector<std::string> names;
  for (const auto& scores : report.metrics)
    for (const auto& column : scores.columns) names.push_back(column.name);
  return names;
}

TEST(Report, HoldsEveryMetricForCorpusAndImages) {
  const EvaluationReport report = report_of({"cider-d", "rouge-l", "bleu"});
  EXPECT_THAT(names(report), ElementsAre("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D"));
  EXPECT_NEAR(report.find("BLEU-4")->per_image[0], 1.0, 1e-6);
  EXPECT_GT(report.find("CIDEr-D")->per_image[0], report.find("CIDEr-D")->per_image[2]);
  EXPECT_EQ(report.find("METEOR"), nullptr);
  EXPECT_THAT(report.images, ElementsAre("7", "8", "9\n\"x\""));
  EXPECT_EQ(report.distinct_captions, 2u);
  EXPECT_THAT(report.signature, HasSubstr("tokenizer lower-nopunct | images 3 | references 6 | df references"));
}

TEST(Report, JsonIsWhatIsPromised) {
  const nlohmann::json json = nlohmann::json::parse(to_json(report_of({"bleu", "dist"})));
  EXPECT_EQ(json.at("corpus").at("BLEU-1").get<double>(), report_of({"bleu"}).find("BLEU-1")->corpus);
  EXPECT_EQ(json.at("images"), 3);
  EXPECT_EQ(json.at("per_image").size(), 3u);
  EXPECT_TRUE(json.at("per_image").at("9\n\"x\"").contains("BLEU-4"));
  // Only one image has candidates.
  EXPECT_TRUE(json.at("per_image").at("8").contains("Self-CIDEr"));
  EXPECT_FALSE(json.at("per_image").at("7").contains("Self-CIDEr"));
  EXPECT_DOUBLE_EQ(json.at("corpus").at("Length").get<double>(), 6.0);
  EXPECT_DOUBLE_EQ(json.at("corpus").at("Distinct").get<double>(), 2.0 / 3);
  EXPECT_EQ(json.at("skipped").at("METEOR"), "not asked for");
  EXPECT_EQ(json.at("skipped").at("CIDEr-D"), "not asked for");
  EXPECT_FALSE(json.at("skipped").contains("BLEU-4"));
  EXPECT_FALSE(json.contains("comparison"));
  EXPECT_TRUE(json.at("seconds").is_number());
}

TEST(Report, CsvHasALineForEveryImage) {
  const std::string csv = to_csv(report_of({"rouge-l", "dist"}));
  EXPECT_THAT(csv, testing::StartsWith("image,ROUGE-L,Self-BLEU,Self-CIDEr\n7,1,,\n8,"));
  EXPECT_THAT(csv, HasSubstr("\n\"9\n\"\"x\"\"\","));
}

TEST(Report, TheTableShowsPercent) {
  const EvaluationReport report = report_of({"bleu", "dist"});
  EXPECT_THAT(to_table(report), HasSubstr(fmt::format("{:.2f}", 100 * report.find("BLEU-1")->corpus)));
  EXPECT_THAT(to_table(report), HasSubstr("Length        6.00"));
}

TEST(Report, AMetricThatCannotBeComputedIsSkipped) {
  struct Unable final : CaptionMetric {
    MetricScores score(const CaptionSet&) const override { fail(ErrorCode::unsupported, "no luck"); }
    std::vector<std::string> names() const override { return {"A", "B"}; }
  };
  std::vector<std::unique_ptr<CaptionMetric>> metrics;
  metrics.push_back(std::make_unique<Unable>());
  metrics.push_back(make_rouge_l_metric());
  const EvaluationReport report = score_captions(PreparedCaptions(kCaptions, kTokenizer), metrics);
  EXPECT_THAT(names(report), ElementsAre("ROUGE-L"));
  EXPECT_EQ(report.skipped.at("A"), "no luck");
  EXPECT_EQ(report.skipped.at("B"), "no luck");
}

TEST(Report, CountsEmptyCaptions) {
  const auto choice = choose_metrics({"bleu"}, {});
  const auto report = score_captions(
      PreparedCaptions({{"1", "...", {"a dog"}}, {"2", "", {"a cat"}}, {"3", "a", {"a"}}}, kTokenizer), choice.metrics);
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("2 captions have no words")));
  EXPECT_THAT(to_json(report), HasSubstr("\"notes\": [\"2 captions"));
  test::expect_error(ErrorCode::invalid_input, "image 5 has no reference", [] {
    PreparedCaptions({{"5", "a", {}}}, kTokenizer);
  });
}

TEST(MetricChoice, WithoutNamesTakesWhatHasWhatItNeeds) {
  const test::MeteorData data;
  MetricOptions options;
  options.meteor_data = data.path();
  const EvaluationReport report = report_of({}, options);
  EXPECT_THAT(names(report), testing::IsSupersetOf({"BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D", "Dist-1"}));
  EXPECT_THAT(report.signature, HasSubstr("meteor-data"));
  EXPECT_THAT(report.skipped.at("SPICE"), HasSubstr("--spice-jar"));
  EXPECT_THAT(report.skipped.at("CLIPScore"), HasSubstr("--clip"));
  EXPECT_THAT(report.skipped.at("BERTScore"), HasSubstr("--bert"));
  // What is named has to be there.
  options.meteor_data = data.path() / "nowhere";
  EXPECT_THROW(choose_metrics({}, options), Error);
}

TEST(MetricChoice, KnowsItsNames) {
  EXPECT_EQ(choose_metrics({"cider-d", "bleu", "bleu"}, {}).metrics.size(), 2u);
  test::expect_error(ErrorCode::usage, "'bluw'", [] { choose_metrics({"bleu", "bluw"}, {}); });
  test::expect_error(ErrorCode::usage, "--spice-jar", [] { choose_metrics({"spice"}, {}); });
  test::expect_error(ErrorCode::usage, "--clip", [] { choose_metrics({"clipscore"}, {}); });
  test::expect_error(ErrorCode::usage, "--bert", [] { choose_metrics({"bertscore"}, {}); });
}

TEST(MetricChoice, DocumentFrequenciesOfAFile) {
  const test::TemporaryFolder folder;
  MetricOptions options;
  options.document_frequencies = folder.write(
      "other.txt", "capdiff document frequencies\t1\ntokenizer\tlower-nopunct\nimages\t100\n90\ta\n2\tdog\n");
  const EvaluationReport report = report_of({"cider-d"}, options);
  EXPECT_NE(report.find("CIDEr-D")->corpus, report_of({}).find("CIDEr-D")->corpus);
  EXPECT_THAT(report.signature, HasSubstr("df other.txt"));
  options.document_frequencies =
      folder.write("other.txt", "capdiff document frequencies\t1\ntokenizer\tptb\nimages\t100\n90\ta\n2\tdog\n");
  test::expect_error(ErrorCode::invalid_input, "lower-nopunct", [&] { report_of({"cider-d"}, options); });
}

TEST(MetricChoice, DiversityAgainstTrainingCaptionsAndVocabularies) {
  MetricOptions options;
  EXPECT_NEAR(report_of({"dist"}, options).find("Vocabulary")->corpus, 10.0 / 18, 1e-12);
  EXPECT_EQ(report_of({"dist"}, options).find("Novel"), nullptr);
  options.diversity.training = {"Two men sit on a bench!", "A cat."};
  EXPECT_NEAR(report_of({"dist"}, options).find("Novel")->corpus, 2.0 / 3, 1e-12);
  EXPECT_NEAR(report_of({"dist"}, options).find("Vocabulary")->corpus, 10.0 / 7, 1e-12);
  options.diversity.vocabulary_size = 40;
  EXPECT_NEAR(report_of({"dist"}, options).find("Vocabulary")->corpus, 0.25, 1e-12);
}

}  // namespace
}  // namespace capdiff
