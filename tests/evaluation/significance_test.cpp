#include "capdiff/evaluation/significance.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <random>

#include "capdiff/evaluation/metric_choice.h"
#include "capdiff/evaluation/other_system.h"
#include "capdiff/metrics/bleu.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using test::expect_error;

MetricScores mean_metric(std::vector<double> values) {
  MetricScores scores;
  scores.columns.push_back({"M", 0.0, std::move(values)});
  return scores;
}

std::vector<double> normal(std::size_t count, double mean, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> distribution(mean, 1.0);
  std::vector<double> values(count);
  for (double& value : values) value = distribution(random);
  return values;
}

Comparison compared(std::vector<double> ours, std::vector<double> theirs, std::size_t resamples = 2000) {
  const std::vector<MetricScores> first{mean_metric(std::move(ours))};
  const std::vector<MetricScores> second{mean_metric(std::move(theirs))};
  return paired_bootstrap(first, second, resamples, 0).at(0);
}

TEST(PairedBootstrap, TellsADifferenceFromNone) {
  const auto same = normal(400, 0.0, 1);
  const Comparison none = compared(same, same);
  EXPECT_EQ(none.difference, 0.0);
  EXPECT_EQ(none.p_value, 1.0);
  const Comparison clear = compared(normal(400, 1.0, 2), normal(400, 0.0, 3));
  EXPECT_LT(clear.p_value, 0.001);
  EXPECT_GT(clear.low, 0.5);
  const Comparison other_way = compared(normal(400, 0.0, 3), normal(400, 1.0, 2));
  EXPECT_LT(other_way.high, -0.5);
  EXPECT_LT(other_way.p_value, 0.001);
}

TEST(PairedBootstrap, TheIntervalIsThatOfTheMean) {
  const auto ours = normal(1000, 0.1, 4);
  const Comparison row = compared(ours, std::vector<double>(1000, 0.0), 4000);
  double mean = 0.0;
  double square = 0.0;
  for (const double value : ours) {
    mean += value / 1000.0;
    square += value * value / 1000.0;
  }
  const double error = std::sqrt((square - mean * mean) / 1000.0);
  EXPECT_NEAR(row.low, mean - 1.96 * error, 0.15 * error);
  EXPECT_NEAR(row.high, mean + 1.96 * error, 0.15 * error);
  const double expected_p = std::erfc(std::abs(mean) / error / std::sqrt(2.0));
  EXPECT_NEAR(row.p_value, expected_p, 0.02);
}

TEST(PairedBootstrap, ResamplesWhatBleuCounts) {
  const WhiteSpaceTokenizer tokenizer;
  // The second system's only long caption decides its corpus BLEU: means of the images' BLEU would be the same.
  const std::vector<EvaluatedCaption> ours{{"1", "a b c d e f g h", {"a b c d e f g h"}},
                                           {"2", "x y z w", {"a b c d"}}};
  const std::vector<EvaluatedCaption> theirs{{"1", "x y z w s t u v", {"a b c d e f g h"}},
                                             {"2", "a b c d", {"a b c d"}}};
  const auto choice = choose_metrics({"bleu"}, {});
  const auto first = score_captions(PreparedCaptions(ours, tokenizer), choice.metrics).metrics;
  const auto second = score_captions(PreparedCaptions(theirs, tokenizer), choice.metrics).metrics;
  const auto rows = paired_bootstrap(first, second, 500, 0);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_NEAR(rows[0].ours, 8.0 / 12, 1e-6);
  EXPECT_NEAR(rows[0].theirs, 4.0 / 12, 1e-6);
  EXPECT_NEAR(rows[0].high, 1.0, 1e-6);
  EXPECT_NEAR(rows[0].low, -1.0, 1e-6);
}

TEST(PairedBootstrap, IsAFunctionOfItsSeed) {
  const auto ours = normal(300, 0.05, 5);
  const auto theirs = normal(300, 0.0, 6);
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const Comparison one = compared(ours, theirs);
  omp_set_num_threads(3);
  const Comparison three = compared(ours, theirs);
  omp_set_num_threads(threads);
  EXPECT_EQ(one.p_value, three.p_value);
  EXPECT_EQ(one.low, three.low);
  EXPECT_EQ(one.resamples, 2000u);
}

TEST(PairedBootstrap, PairsByName) {
  MetricScores other = mean_metric({1.0});
  other.columns[0].name = "N";
  EXPECT_TRUE(paired_bootstrap(std::vector{mean_metric({1.0})}, std::vector{other}, 10, 0).empty());
  expect_error(ErrorCode::invalid_input, "1 and 2 images", [] {
    paired_bootstrap(std::vector{mean_metric({1.0})}, std::vector{mean_metric({1.0, 2.0})}, 10, 0);
  });
}

class OtherSystem : public ::testing::Test {
 protected:
  EvaluationReport compare(const std::string& contents) {
    const auto path = folder_.write("other.json", contents);
    const PreparedCaptions prepared({{"1", "a b c d", {"a b c d"}, {}, "p/one.jpg"}, {"2", "a b", {"a b x y"}}},
                                    tokenizer_);
    EvaluationReport report = score_captions(prepared, choice_.metrics);
    compare_with(report, prepared, tokenizer_, choice_.metrics, path, 50);
    return report;
  }

  test::TemporaryFolder folder_;
  WhiteSpaceTokenizer tokenizer_;
  MetricChoice choice_ = choose_metrics({"bleu", "rouge-l"}, {});
};

TEST_F(OtherSystem, MayBeResults) {
  for (const char* results :
       {R"([{"image_id": 2, "caption": "a b x y"}, {"image_id": 1, "caption": "x"},
                                  {"image_id": 9, "caption": "elsewhere"}])",
        "{\"path\": \"one.jpg\", \"caption\": \"x\"}\n{\"id\": \"2\", \"caption\": \"a b x y\"}"}) {
    const EvaluationReport report = compare(results);
    ASSERT_EQ(report.comparison.size(), 5u);
    EXPECT_EQ(report.comparison[4].name, "ROUGE-L");
    EXPECT_NEAR(report.comparison[4].theirs, 0.5, 1e-9);
    EXPECT_NEAR(report.comparison[0].ours, report.find("BLEU-1")->corpus, 1e-12);
  }
  expect_error(ErrorCode::invalid_input, "1 of the 2 images", [&] { compare(R"([{"image_id": 1, "caption": "x"}])"); });
}

TEST_F(OtherSystem, MayBeAReport) {
  const EvaluationReport report = compare(
      R"({"corpus": {"ROUGE-L": 0.3}, "per_image": {"1": {"BLEU-1": 1, "ROUGE-L": 0.25}, "2": {"ROUGE-L": 0.5}, "3": {}}})");
  ASSERT_EQ(report.comparison.size(), 1u);
  EXPECT_NEAR(report.comparison[0].theirs, 0.375, 1e-12);
  EXPECT_THAT(report.notes, testing::ElementsAre(testing::HasSubstr("BLEU-1 is not compared")));
  EXPECT_EQ(compare(to_json(report)).comparison[0].difference, 0.0);
}

TEST_F(OtherSystem, NamesWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"per_image": {"1": {"ROUGE-L": 0.25}}})", "no image 2"},
      {R"({"per_image": {"1": {"ROUGE-L": 0.25}, "2": {"ROUGE-L": "x"}}})", "\"per_image.2.ROUGE-L\" is \"x\""},
      {R"({"per_image": {"1": {"ROUGE-L": 0.25}, "2": {}}})", "\"per_image.2.ROUGE-L\" is missing"},
      {R"({"per_image": {"1": {"X": 0.25}, "2": {}}})", "no metric that could be compared"},
      {R"({"per_image": 5})", "expected an object"},
      {R"({"per_image": )", "not valid JSON"},
      {"", "no result is about"},
  };
  for (const auto& [contents, part] : cases) {
    EXPECT_THAT(expect_error(ErrorCode::invalid_input, part, [&] { compare(contents); }),
                testing::HasSubstr("other.json"))
        << contents;
  }
}

}  // namespace
}  // namespace capdiff
