#include "capdiff/evaluation/verify_meteor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/metrics/meteor_data.h"
#include "tests/support/expect_error.h"
#include "tests/support/shared.h"
#include "tests/support/verified.h"

namespace capdiff::test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

GoldenReport verified_meteor(const std::filesystem::path& folder,
                             const std::optional<std::filesystem::path>& data = std::nullopt) {
  GoldenReport report;
  verify_meteor(folder, data, report);
  return report;
}

TEST(VerifyMeteor, SharedGoldensPass) {
  CAPDIFF_SHARED_OR_SKIP(folder, "goldens/metrics");
  CAPDIFF_SHARED_OR_SKIP(data, "data/meteor");
  const GoldenReport report = verified_meteor(folder, data);
  EXPECT_GT(report.passed(), 5000U);
  EXPECT_THAT(failures(report), IsEmpty()) << to_table(report);
  EXPECT_EQ(verified_meteor(folder).passed(), report.passed());
}

/// Goldens of one image, with right numbers.
class SmallGoldens {
 public:
  SmallGoldens() {
    folder_.write("toy_annotations.json",
                  R"({"annotations": [{"image_id": 7, "id": 1, "caption": "no"},
                                      {"image_id": 7, "id": 2, "caption": "an otter"}]})");
    folder_.write("toy_results.json", R"([{"image_id": 7, "caption": "an otter"}])");
    expected = {{"corpus", {{"METEOR", 1.0}, {"METEOR_exact_only", 1.0}, {"CIDEr", 3.0}}},
                {"per_image", {{"METEOR", {1.0}}, {"METEOR_exact_only", {1.0}}}},
                {"image_ids", {7}}};
    const json values{{"precision", 1.0}, {"recall", 1.0}, {"fmean", 1.0}, {"frag_penalty", 0.0}};
    const json config{{"config", "meteor-1.5-wo-en-norm"},
                      {"parameters", "0.85 0.2 0.6 0.75"},
                      {"modules", "exact stem"},
                      {"weights", "1.0 0.6"},
                      {"beam", 40}};
    const std::string counts = "2.0 2.0 0.0 0.0 2.0 2.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0";
    json image = values;
    image.update({{"score", 1.0},
                  {"ref_scores", {0.0, 1.0}},
                  {"best", 1},
                  {"stats", counts + " 1.0 2.0 2.0"},
                  {"align", {{0, 0, 0}, {1, 1, 0}}}});
    json system = values;
    system.update({{"system", 1.0}, {"stats", counts + " 0.0 2.0 2.0"}});
    detail = {{"config", config}, {"system", system}, {"per_image", {image}}};
    parts = {{"stems", json::array({json::array({"otters", "otter"})})},
             {"synonyms", {{{"word", "went"}, {"synsets", json::array()}, {"stem_synsets", {51}}}}},
             {"normalizer", {{{"text", "Otters!"}, {"keep_punct", "Otters !"}, {"no_punct", "Otters"}}}},
             {"raw_pairs", {{{"hyp", "Otters!"}, {"refs", {"otters !", "no"}}}}},
             {"raw_norm",
              {{"config", config},
               {"system", 1.0},
               {"scores", {1.0}},
               {"best", {0}},
               {"align_best", {{{0, 0, 0}, {1, 1, 0}}}}}},
             {"task_x_first1_of_toy", {{"config", config}, {"system", 1.0}, {"scores", {1.0}}}}};
    const json scores{{"corpus", {{"METEOR_without_paraphrases", 1.0}}},
                      {"per_image", {{"METEOR_without_paraphrases", {1.0}}}}};
    published = {
        {"cases",
         {{{"tokens_candidates", {"an otter"}}, {"tokens_references", {{"an otter"}}}, {"recomputed", scores}}}}};
  }

  GoldenReport verify() const {
    folder_.write("toy_expected.json", expected.dump());
    folder_.write("toy_meteor_detail.json", detail.dump());
    folder_.write("meteor_parts.json", parts.dump());
    folder_.write("published.json", published.dump());
    folder_.write("edge_cases.json", edge_cases);
    return verified_meteor(folder_.path(), data_.path());
  }

  json expected, detail, parts, published;
  /// The images are in the order of the file, whatever their names.
  std::string edge_cases =
      R"({"cases": [{"references": {"9": ["otter"], "1": ["pond"]}, "results": {"9": ["otter"], "1": ["reed"]},
                     "expected": {"corpus": {}, "per_image": {}}},
                    {"references": {"9": ["otter"]}, "results": {}, "expected_error": "AssertionError"}]})";

 private:
  TemporaryFolder folder_;
  MeteorData data_;
};

TEST(VerifyMeteor, RightNumbersPass) {
  const GoldenReport report = SmallGoldens().verify();
  EXPECT_THAT(failures(report), IsEmpty()) << to_table(report);
  EXPECT_EQ(report.passed(), 4U + 9U + 6U + 1U + 2U + 2U + 4U + 2U + 2U);
}

TEST(VerifyMeteor, WrongNumbersFail) {
  const auto fails = [](const std::function<void(SmallGoldens&)>& spoil) {
    SmallGoldens goldens;
    spoil(goldens);
    return failures(goldens.verify());
  };
  EXPECT_THAT(fails([](auto& goldens) { goldens.expected["corpus"]["METEOR"] = 0.99999999; }),
              ElementsAre("json.toy_expected.corpus.METEOR"));
  EXPECT_THAT(fails([](auto& goldens) {
                goldens.expected["per_image"]["METEOR"] = {1.0, 1.0};
              }),
              ElementsAre("json.toy_expected.per_image.METEOR"));
  EXPECT_THAT(fails([](auto& goldens) { goldens.expected["corpus"]["METEOR_by_guess"] = 1.0; }),
              ElementsAre("json.toy_expected.corpus.METEOR_by_guess"));
  EXPECT_THAT(fails([](auto& goldens) {
                goldens.detail["per_image"][0]["align"] = {{0, 0, 0}, {1, 1, 1}};
              }),
              ElementsAre("json.toy_meteor_detail.per_image.0.align"));
  EXPECT_THAT(fails([](auto& goldens) { goldens.detail["per_image"][0]["best"] = 0; }),
              ElementsAre("json.toy_meteor_detail.per_image.0.best"));
  EXPECT_THAT(fails([](auto& goldens) { goldens.detail["per_image"].push_back(json::object()); }),
              ElementsAre("json.toy_meteor_detail"));
  EXPECT_THAT(fails([](auto& goldens) { goldens.parts["stems"][0][1] = "ott"; }),
              ElementsAre("json.meteor_parts.stems.0.1"));
  EXPECT_THAT(fails([](auto& goldens) {
                goldens.parts["synonyms"][0]["stem_synsets"] = {51, 52};
              }),
              ElementsAre("json.meteor_parts.synonyms.0.stem_synsets"));
  EXPECT_THAT(fails([](auto& goldens) { goldens.parts["normalizer"][0]["no_punct"] = "otters"; }),
              ElementsAre("json.meteor_parts.normalizer.0.no_punct"));
  EXPECT_THAT(fails([](auto& goldens) { goldens.parts["raw_norm"]["scores"] = {0.5}; }),
              ElementsAre("json.meteor_parts.raw_norm.scores"));
  EXPECT_THAT(fails([](auto& goldens) { goldens.parts["raw_norm"]["config"]["modules"] = "exact magic"; }),
              ElementsAre("json.meteor_parts.raw_norm"));
  EXPECT_THAT(fails([](auto& goldens) { goldens.parts["news"] = 1; }), ElementsAre("json.meteor_parts.news"));
  EXPECT_THAT(fails([](auto& goldens) { goldens.published["cases"][0]["tokens_references"] = {{"a pond"}}; }),
              ElementsAre("json.published.cases.0.recomputed.corpus.METEOR_without_paraphrases",
                          "json.published.cases.0.recomputed.per_image.METEOR_without_paraphrases"));
  EXPECT_THAT(fails([](auto& goldens) { goldens.edge_cases = "{"; }), ElementsAre("json.edge_cases"));
}

TEST(VerifyMeteor, ImagesOfEdgeCasesAreInTheOrderOfTheFile) {
  SmallGoldens goldens;
  goldens.edge_cases =
      R"({"cases": [{"references": {"9": ["otter"], "1": ["pond"]}, "results": {"9": ["otter"], "1": ["reed"]},
                     "expected": {"corpus": {"METEOR": 0}, "per_image": {"METEOR": [1.0, 0.0]}}}]})";
  EXPECT_THAT(failures(goldens.verify()), ElementsAre("json.edge_cases.cases.0.expected.corpus.METEOR"));
}

TEST(VerifyMeteor, SaysWhereDataShouldBe) {
  const TemporaryFolder folder;
  ::unsetenv("CAPDIFF_DATA");
  // Only goldens of METEOR need them.
  EXPECT_TRUE(verified_meteor(folder.path()).checks.empty());
  folder.write("meteor_parts.json", "{}");
  expect_error(ErrorCode::not_found, "--meteor-data", [&] { verified_meteor(folder.path()); });
  expect_error(ErrorCode::not_found, "nowhere", [&] { verified_meteor(folder.path(), "/nowhere"); });
}

}  // namespace
}  // namespace capdiff::test
