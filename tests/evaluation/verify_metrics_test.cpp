#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "capdiff/evaluation/verify.h"
#include "tests/metrics/metric_goldens.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/verified.h"

namespace capdiff::test {
namespace {

using Json = nlohmann::json;

TEST(VerifyMetrics, SharedFoldersPass) {
  CAPDIFF_SHARED_OR_SKIP(metrics, "goldens/metrics");
  CAPDIFF_SHARED_OR_SKIP(ptb, "goldens/ptb");
  for (const auto& folder : {metrics, ptb}) {
    const GoldenReport report = verified(folder);
    EXPECT_GT(report.passed(), 500u);
    EXPECT_EQ(report.failed(), 0u) << to_table(report);
    EXPECT_TRUE(report.skipped.empty());
  }
}

/// A small folder of every file, right in every number.
class MetricGoldens : public ::testing::Test {
 protected:
  MetricGoldens() {
    write("my_annotations.json",
          Json::parse(R"({"annotations": [{"image_id": 5, "id": 1, "caption": "a dog runs on grass"},
      {"image_id": 3, "id": 2, "caption": "two men sit"}, {"image_id": 5, "id": 3, "caption": "the dog"}]})"));
    write("my_results.json", Json::parse(R"([{"image_id": 3, "caption": "two men sit"},
                                             {"image_id": 5, "caption": "a dog runs"}])"));
    // All six words are in the references, whose closest lengths are 2 and 3.
    write("my_expected.json", Json{{"corpus", {{"Bleu_1", 1.0 - 1e-9 / 6}}},
                                   {"per_image", {{"ROUGE_L", {rouge(), 1.0}}}},
                                   {"image_ids", {5, 3}}});
    write("edge_cases.json", Json::parse(R"({"cases": [
      {"name": "one", "references": {"1": ["a b"], "9": ["c"]}, "results": {"9": ["x"], "1": ["a  b"]},
       "expected": {"corpus": {}, "per_image": {"ROUGE_L": [0.8299319727891157, 0.0], "CIDEr": [5.0, 0.0]}}},
      {"name": "missing", "references": {"9": ["a b"], "1": ["c"]}, "results": {"1": ["x"]},
       "expected_error": "AssertionError"},
      {"name": "double", "references": {"1": ["c"]}, "results": {"1": ["x", "y"]}, "expected_error": "AssertionError"}]})"));
    write("cider_external_df.json", Json::parse(R"({"corpus_images": [["a dog", "a cat"]], "n_images": 1,
      "n_distinct_ngrams": 5, "df_sample": {"a": 1, "a dog": 1, "no such": 0}, "eval_first_n_of_my": 1,
      "expected_per_image": [0.0], "expected_mean": 0.0})"));
    write("sentence_bleu_mbr.json", Json::parse(R"({"mbr": [{"candidates": ["a b c d", "x y z w", "a b c d"],
       "bleu_hyp_i_ref_j": [[1, 0, 1], [0, 1, 0], [1, 0, 1]], "row_sum_without_diagonal": [1, 0, 1], "selected": 0, "gap": 0}],
      "multi_reference": [{"hyp": "a", "refs": ["a"], "bleu4_method4": 1, "bleu4_method1": 0.1778279410038923,
                           "bleu4_unsmoothed": 1.821831989445342e-231}]})"));
    write("published.json",
          Json::parse(R"({"cases": [{"name": "x", "candidates": ["A dog."], "references": [["A cat!"]],
      "tokens_candidates": ["a dog"], "tokens_references": [["a cat"]], "needs_ptb_tokenisation": true,
      "published": {"Bleu_1": 0.5, "ROUGE_L": 0.5, "SPICE": 0.1},
      "recomputed": {"corpus": {"ROUGE_L": 0.5}, "per_image": {"CIDEr": [0.0]}}}]})"));
  }

  /// Of "a dog runs": all its words are in the first reference, which has five; the second has one of two.
  static double rouge() {
    const double recall = 3.0 / 5;
    return 2.44 * recall / (recall + 1.44);
  }

  void write(const std::string& name, const Json& json) { folder_.write(name, json.dump()); }

  /// Changes the value at a place, verifies and puts it back.
  std::set<std::string> failures_with(const std::string& name, const std::string& place, const Json& value) {
    const Json before = read_json(folder_.path() / name);
    Json changed = before;
    changed.at(Json::json_pointer(place)) = value;
    write(name, changed);
    auto failed = failures(verified(folder_.path()));
    write(name, before);
    return failed;
  }

  TemporaryFolder folder_;
};

TEST_F(MetricGoldens, Pass) {
  const GoldenReport report = verified(folder_.path());
  EXPECT_EQ(report.failed(), 0u) << to_table(report);
  std::set<std::string> names;
  for (const GoldenCheck& check : report.checks) EXPECT_TRUE(names.insert(check.name).second) << check.name;
  for (const char* name : {"json.my_expected.corpus.Bleu_1", "json.my_expected.image_ids",
                           "json.edge_cases.cases.0.expected.per_image.CIDEr", "json.edge_cases.cases.2.expected_error",
                           "json.cider_external_df.df_sample.a dog", "json.sentence_bleu_mbr.mbr.0.selected",
                           "json.published.cases.0.recomputed.corpus.ROUGE_L"})
    EXPECT_TRUE(names.contains(name)) << name;
}

TEST_F(MetricGoldens, AnyChangedNumberFails) {
  const struct {
    const char* file;
    const char* place;
    Json value;
    const char* name;
  } changes[] = {
      {"my_expected.json", "/corpus/Bleu_1", 0.999999, "json.my_expected.corpus.Bleu_1"},
      {"my_expected.json", "/per_image/ROUGE_L/0", 0.7, "json.my_expected.per_image.ROUGE_L"},
      {"my_expected.json", "/image_ids/1", 4, "json.my_expected.image_ids"},
      {"edge_cases.json", "/cases/0/expected/per_image/CIDEr/1", 1e-6,
       "json.edge_cases.cases.0.expected.per_image.CIDEr"},
      {"edge_cases.json", "/cases/1/results", {{"1", {"x"}}, {"9", {"y"}}}, "json.edge_cases.cases.1.expected_error"},
      {"cider_external_df.json", "/n_images", 3, "json.cider_external_df.n_images"},
      {"cider_external_df.json", "/n_distinct_ngrams", 6, "json.cider_external_df.n_distinct_ngrams"},
      {"cider_external_df.json", "/df_sample/a dog", 2, "json.cider_external_df.df_sample.a dog"},
      {"cider_external_df.json", "/expected_mean", 0.1, "json.cider_external_df.expected_mean"},
      {"sentence_bleu_mbr.json", "/mbr/0/selected", 2, "json.sentence_bleu_mbr.mbr.0.selected"},
      {"sentence_bleu_mbr.json", "/mbr/0/gap", 1e-6, "json.sentence_bleu_mbr.mbr.0.gap"},
      {"sentence_bleu_mbr.json", "/mbr/0/bleu_hyp_i_ref_j/0/1", 0.1, "json.sentence_bleu_mbr.mbr.0.bleu_hyp_i_ref_j"},
      {"sentence_bleu_mbr.json", "/mbr/0/row_sum_without_diagonal/0", 1.1,
       "json.sentence_bleu_mbr.mbr.0.row_sum_without_diagonal"},
      {"sentence_bleu_mbr.json", "/multi_reference/0/bleu4_unsmoothed", 1.83e-231,
       "json.sentence_bleu_mbr.multi_reference.0.bleu4_unsmoothed"},
      {"published.json", "/cases/0/published/Bleu_1", 0.5002, "json.published.cases.0.published.Bleu_1"},
      {"published.json", "/cases/0/tokens_candidates/0", "a dog .", "json.published.cases.0.tokens_candidates"},
  };
  for (const auto& change : changes)
    EXPECT_TRUE(failures_with(change.file, change.place, change.value).contains(change.name)) << change.name;
}

TEST_F(MetricGoldens, WhatNothingComputesFails) {
  EXPECT_TRUE(failures_with("my_expected.json", "/corpus", {{"WMD", 0.5}}).contains("json.my_expected.corpus.WMD"));
  std::filesystem::remove(folder_.path() / "my_results.json");
  const auto failed = failures(verified(folder_.path()));
  EXPECT_TRUE(failed.contains("json.my_expected"));
  EXPECT_TRUE(failed.contains("json.cider_external_df"));
}

TEST(VerifyPtb, StringsAndStreams) {
  const TemporaryFolder folder;
  folder.write("ptb.json", R"([
    {"cat": "x", "text": "Route b.", "tokens": ["route", "b."], "kept": ["route", "b."],
     "when_followed_by": [{"next": "The end", "tokens": ["route", "b", "."], "kept": ["route", "b"]}]},
    {"cat": "x", "text": "a\rb\nc", "tokens": ["a", "b", "c"], "kept": ["a", "b", "c"], "lines": [["a"], ["b", "c"]]}])");
  folder.write(
      "ptb_stream.json",
      R"([{"name": "x", "lines": ["Route b.", "The end!"], "tokens": [["route", "b", "."], ["the", "end", "!"]]}])");
  EXPECT_EQ(verified(folder.path()).failed(), 0u) << to_table(verified(folder.path()));
  EXPECT_EQ(verified(folder.path()).passed(), 9u);
  folder.write(
      "ptb_stream.json",
      R"([{"name": "x", "lines": ["Route b.", "The end!"], "tokens": [["route", "b", "."], ["the", "end"]]}])");
  EXPECT_EQ(failures(verified(folder.path())), std::set<std::string>{"json.ptb_stream.0.tokens.1"});
  folder.write("ptb_stream.json", R"([{"name": "x", "lines": ["a", "b"], "tokens": [["a"]]}])");
  EXPECT_EQ(failures(verified(folder.path())), std::set<std::string>{"json.ptb_stream.0.tokens"});
  folder.write("ptb_stream.json", "[]");
  folder.write("ptb.json", R"([{"text": "a-", "tokens": ["a-"], "kept": ["a"]}, {"text": 5}])");
  EXPECT_EQ(failures(verified(folder.path())),
            (std::set<std::string>{"json.ptb_stream", "json.ptb.0.tokens", "json.ptb.1"}));
}

}  // namespace
}  // namespace capdiff::test
