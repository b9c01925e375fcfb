#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/metrics/metric_goldens.h"
#include "tests/support/command.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Json = nlohmann::json;

class ScoreCommand : public testing::Test {
 protected:
  CommandResult score(std::vector<std::string> options = {}) const {
    options.insert(options.begin(), {"score", "--references", references_, "--results", results_});
    return run_capdiff(options);
  }

  TemporaryFolder folder_;
  std::string references_ =
      folder_
          .write("references.json",
                 R"({"images": [{"id": 4, "file_name": "four.jpg"}, {"id": 2, "file_name": "two.jpg"}], "annotations": [
  {"image_id": 4, "id": 1, "caption": "A dog runs on the grass."}, {"image_id": 2, "id": 2, "caption": "Two men sit."},
  {"image_id": 4, "id": 3, "caption": "The dog is running."}]})")
          .string();
  std::string results_ =
      folder_
          .write(
              "results.jsonl",
              "{\"path\":\"photos/two.jpg\",\"caption\":\"Two men sit!\",\"candidates\":[{\"text\":\"Two men sit!\"},"
              "{\"text\":\"a car\"}]}\n{\"path\":\"photos/four.jpg\",\"caption\":\"a dog runs\"}\n")
          .string();
};

TEST_F(ScoreCommand, PrintsATable) {
  const CommandResult result = score();
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(result.errors, "");
  EXPECT_THAT(result.output, AllOf(HasSubstr("BLEU-4"), HasSubstr("ROUGE-L"), HasSubstr("CIDEr-D"),
                                   HasSubstr("tokenizer ptb | images 2 | references 3"), HasSubstr("df references"),
                                   HasSubstr("--spice-jar")));
}

TEST_F(ScoreCommand, PrintsJsonAndCsv) {
  const CommandResult result = score({"--json", "--metrics", "bleu,dist"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  const Json report = Json::parse(result.output);
  EXPECT_NEAR(report.at("per_image").at("2").at("BLEU-1").get<double>(), 1.0, 1e-8);
  EXPECT_TRUE(report.at("per_image").at("2").contains("Self-BLEU"));
  EXPECT_TRUE(report.at("corpus").contains("Dist-2"));
  EXPECT_EQ(report.at("images"), 2);
  EXPECT_EQ(report.at("skipped").at("CIDEr-D"), "not asked for");
  EXPECT_THAT(score({"--csv", "--metrics", "rouge-l"}).output, testing::StartsWith("image,ROUGE-L\n4,0."));
  EXPECT_EQ(score({"--csv", "--json"}).exit_code, 2);
  EXPECT_EQ(score({"--csv", "--by-length"}).exit_code, 2);
}

TEST_F(ScoreCommand, SaysWhichImagesDiffer) {
  results_ =
      folder_.write("some.json", R"([{"image_id": 2, "caption": "a"}, {"image_id": 7, "caption": "b"}])").string();
  const CommandResult result = score();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.output, "");
  EXPECT_THAT(result.errors, AllOf(HasSubstr("some.json"), HasSubstr("references.json"), HasSubstr("7")));
  const CommandResult partial = score({"--partial", "--json"});
  EXPECT_EQ(partial.exit_code, 0);
  EXPECT_THAT(partial.errors, AllOf(HasSubstr("1 of 2 images"), HasSubstr("1 results")));
  EXPECT_EQ(Json::parse(partial.output).at("notes").size(), 2u);
  EXPECT_THAT(Json::parse(partial.output).at("signature").get<std::string>(), HasSubstr("of 2 images"));
}

TEST_F(ScoreCommand, ExplainsWrongUsage) {
  EXPECT_EQ(run_capdiff({"score"}).exit_code, 2);
  EXPECT_EQ(run_capdiff({"score", "--references", references_}).exit_code, 2);
  for (const std::vector<std::string>& options : {std::vector<std::string>{"--metrics", "bluw"},
                                                  {"--metrics", "spice"},
                                                  {"--metrics", "clipscore"},
                                                  {"--clip", "models/clip"},
                                                  {"--metrics", "bertscore"},
                                                  {"--tokenizer", "moses"},
                                                  {"--resamples", "0"},
                                                  {"--spice-memory", "8G;rm"}}) {
    const CommandResult result = score(options);
    EXPECT_EQ(result.exit_code, 2) << options[1];
    EXPECT_EQ(result.output, "") << options[1];
  }
  EXPECT_EQ(score({"--df", "/nowhere.txt"}).exit_code, 1);
  EXPECT_EQ(score({"--meteor-data", "/nowhere"}).exit_code, 1);
  EXPECT_EQ(score({"--bert", "/nowhere"}).exit_code, 1);
  EXPECT_EQ(score({"--split", "test"}).exit_code, 1);
  EXPECT_EQ(score({"--metrics", "dist", "--training", "/nowhere.json"}).exit_code, 1);
}

TEST_F(ScoreCommand, WritesAndReadsDocumentFrequencies) {
  const std::string file = (folder_.path() / "df.txt").string();
  EXPECT_EQ(run_capdiff({"score", "--references", references_, "--write-df", file}).exit_code, 0);
  EXPECT_THAT(read_text_bytes(file),
              testing::StartsWith("capdiff document frequencies\t1\ntokenizer\tptb\nimages\t2\n"));
  const Json own = Json::parse(score({"--json"}).output);
  const Json other = Json::parse(score({"--json", "--df", file}).output);
  EXPECT_EQ(own.at("corpus"), other.at("corpus"));
  EXPECT_THAT(other.at("signature").get<std::string>(), HasSubstr("df df.txt"));
  const CommandResult mixed = score({"--df", file, "--tokenizer", "none"});
  EXPECT_EQ(mixed.exit_code, 1);
  EXPECT_THAT(mixed.errors, HasSubstr("\"ptb\""));
}

TEST_F(ScoreCommand, ComparesSystems) {
  const std::string other =
      folder_.write("other.json", R"([{"image_id": 2, "caption": "two"}, {"image_id": 4, "caption": "x"}])").string();
  const CommandResult result = score({"--json", "--compare", other, "--resamples", "200", "--by-length"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  const Json report = Json::parse(result.output);
  const Json& row = report.at("comparison").at("metrics").at("BLEU-1");
  EXPECT_GT(row.at("difference").get<double>(), 0.0);
  EXPECT_LE(row.at("low"), row.at("high"));
  EXPECT_EQ(report.at("comparison").at("resamples"), 200);
  EXPECT_FALSE(report.at("by_length").empty());
  EXPECT_THAT(score({"--compare", other, "--by-length"}).output, AllOf(HasSubstr("95 % interval"), HasSubstr("words")));
  EXPECT_EQ(score({"--json", "--compare", other, "--resamples", "200", "--by-length"}).output.substr(0, 500),
            result.output.substr(0, 500));
}

TEST_F(ScoreCommand, ASkippedMetricThatWasAskedForIsAFailure) {
  const std::string jar = folder_.write("spice-1.0.jar", "").string();
  std::filesystem::create_directories(folder_.path() / "bin");
  const auto java = folder_.write("bin/java", "#!/bin/sh\necho broken; exit 1\n");
  std::filesystem::permissions(java, std::filesystem::perms::owner_all);
  ::setenv("JAVA_HOME", folder_.path().c_str(), 1);
  const CommandResult result = score({"--json", "--metrics", "bleu,spice", "--spice-jar", jar});
  ::unsetenv("JAVA_HOME");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors, HasSubstr("SPICE is left out"));
  const Json report = Json::parse(result.output);
  EXPECT_TRUE(report.at("corpus").contains("BLEU-4"));
  EXPECT_THAT(report.at("skipped").at("SPICE").get<std::string>(), HasSubstr("exit code 1: broken"));
}

class GoldenFiles : public testing::TestWithParam<const char*> {};

TEST_P(GoldenFiles, AreScoredAsTheReferenceDoes) {
  CAPDIFF_SHARED_OR_SKIP(folder, "goldens/metrics");
  const std::string name = GetParam();
  const Json expected = read_json(folder / (name + "_expected.json"));
  for (const char* tokenizer : {"none", "ptb"}) {
    const CommandResult result =
        run_capdiff({"score", "--references", folder / (name + "_annotations.json"), "--results",
                     folder / (name + "_results.json"), "--tokenizer", tokenizer, "--json"});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json report = Json::parse(result.output);
    for (const auto& [ours, theirs] :
         {std::pair{"BLEU-1", "Bleu_1"}, {"BLEU-4", "Bleu_4"}, {"ROUGE-L", "ROUGE_L"}, {"CIDEr-D", "CIDEr"}}) {
      EXPECT_NEAR(report.at("corpus").at(ours).get<double>(), expected.at("corpus").at(theirs).get<double>(), 1e-9);
      const Json& values = expected.at("per_image").at(theirs);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::string id = expected.at("image_ids").at(i).dump();
        EXPECT_NEAR(report.at("per_image").at(id).at(ours).get<double>(), values.at(i).get<double>(), 1e-9) << id;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Metrics, GoldenFiles, testing::Values("loo", "sys"));

/// The edge cases as files: the scorers' words stand between single spaces.
TEST(ScoreEdgeCases, AreScoredAsTheReferenceDoes) {
  CAPDIFF_SHARED_OR_SKIP(file, "goldens/metrics/edge_cases.json");
  const TemporaryFolder folder;
  const auto golden = read_json(file);
  ASSERT_FALSE(golden.at("cases").empty());
  for (const auto& example : golden.at("cases")) {
    SCOPED_TRACE(example.at("name").get<std::string>());
    std::string references, results;
    for (const auto& [id, captions] : example.at("references").items())
      references += Json{{"image_id", id}, {"captions", captions}}.dump() + "\n";
    for (const auto& [id, captions] : example.at("results").items())
      for (const auto& caption : captions) results += Json{{"image_id", id}, {"caption", caption}}.dump() + "\n";
    const CommandResult result =
        run_capdiff({"score", "--references", folder.write("references", references), "--results",
                     folder.write("results", results), "--tokenizer", "none", "--json"});
    if (example.contains("expected_error")) {
      EXPECT_EQ(result.exit_code, 1);
      EXPECT_EQ(result.output, "");
      continue;
    }
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    const Json report = Json::parse(result.output);
    const auto& expected = example.at("expected").at("corpus");
    for (const auto& [ours, theirs] : {std::pair{"BLEU-1", "Bleu_1"},
                                       {"BLEU-2", "Bleu_2"},
                                       {"BLEU-3", "Bleu_3"},
                                       {"BLEU-4", "Bleu_4"},
                                       {"ROUGE-L", "ROUGE_L"},
                                       {"CIDEr-D", "CIDEr"}})
      EXPECT_NEAR(report.at("corpus").at(ours).get<double>(), expected.at(theirs).get<double>(), 1e-9) << ours;
  }
}

}  // namespace
}  // namespace capdiff::test
