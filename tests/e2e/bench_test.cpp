#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

/// The real program and tiny models.
class BenchCommand : public testing::Test {
 protected:
  static std::vector<std::string> arguments(const fs::path& model, std::vector<std::string> more) {
    more.insert(more.begin(), {"bench", "-m", model.string(), "--repeat", "1", "--threads", "1", "--dtype", "f32"});
    return more;
  }

  json bench(const fs::path& model, std::vector<std::string> more) const {
    more.push_back("--json");
    const CommandResult result = run_capdiff(arguments(model, more));
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    return json::parse(result.output);
  }

  void expect_refused(int exit_code, const fs::path& model, const std::vector<std::string>& more,
                      const std::string& reason) const {
    const CommandResult result = run_capdiff(arguments(model, more));
    EXPECT_EQ(result.exit_code, exit_code) << reason;
    EXPECT_EQ(result.output, "");
    EXPECT_THAT(result.errors, HasSubstr(reason));
  }

  fs::path ladic() const { return made("ladic", write_tiny_model); }
  fs::path prefix() const { return made("prefix", write_tiny_prefix_model); }
  fs::path autoregressive() const { return made("autoregressive", write_tiny_autoregressive_model); }

 private:
  fs::path made(const char* name, void (*write)(const fs::path&)) const {
    const fs::path path = folder_.path() / name;
    if (!fs::exists(path)) write(path);
    return path;
  }

  TemporaryFolder folder_;
};

std::vector<std::string> keys(const json& object) {
  std::vector<std::string> names;
  for (const auto& [name, value] : object.items()) names.push_back(name);
  return names;
}

double gflop(const json& report, const char* stage) {
  return report.at("stages").at(stage).at("gflop");
}

TEST_F(BenchCommand, SaysWhereTheTimeGoes) {
  const json report = bench(ladic(), {"--batch", "2", "--steps", "3", "--guidance", "2", "--no-back-refine"});
  EXPECT_EQ(report.at("model_type"), "ladic");
  EXPECT_EQ(report.at("backend"), "onednn");
  EXPECT_EQ(report.at("dtype"), "f32");
  EXPECT_EQ(report.at("threads"), 1);
  EXPECT_EQ(report.at("batch"), 2);
  EXPECT_EQ(report.at("images"), 2);
  EXPECT_EQ(report.at("steps"), 3);
  EXPECT_EQ(report.at("guidance"), 2.0);
  EXPECT_EQ(report.at("repeats"), 1);
  EXPECT_GT(report.at("length"), 2);
  EXPECT_GT(report.at("peak_memory_mb"), 0.0);
  EXPECT_GT(report.at("images_per_second"), 0.0);
  EXPECT_GT(report.at("seconds").at("median"), 0.0);
  EXPECT_GT(report.at("hardware").at("cores"), 0);
  EXPECT_TRUE(report.at("versions").contains("capdiff"));
  EXPECT_TRUE(report.at("versions").contains("onednn"));
  EXPECT_THAT(keys(report.at("stages")), ElementsAre("condition", "encoder", "preprocess", "step", "words"));
  EXPECT_EQ(report.at("stages").at("step").at("calls"), 3);
  EXPECT_EQ(report.at("stages").at("encoder").at("calls"), 1);
  EXPECT_FALSE(report.at("stages").at("step").contains("share_of_ceiling"));
  EXPECT_GT(report.at("operations").at("linear").at("calls"), 0);
  double sum = 0.0;
  for (const auto& [name, stage] : report.at("stages").items()) sum += stage.at("gflop").get<double>();
  EXPECT_NEAR(report.at("gflop"), sum, 1e-12);
}

/// Operations are counted, so they follow from the options exactly.
TEST_F(BenchCommand, CountsTheWork) {
  const std::vector<std::string> plain{"--batch", "1", "--steps", "2", "--guidance", "0", "--no-back-refine"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), plain.begin(), plain.end());
    return bench(ladic(), more);
  };
  const json one = with({});
  const double step = gflop(one, "step");
  EXPECT_GT(step, 0.0);
  const std::vector<std::string> steps{"--batch", "1", "--steps", "6", "--guidance", "0", "--no-back-refine"};
  EXPECT_NEAR(gflop(bench(ladic(), steps), "step"), 3 * step, 1e-9 * step);
  const json batches = with({"--images", "3"});
  EXPECT_NEAR(gflop(batches, "step"), 3 * step, 1e-9 * step);
  EXPECT_NEAR(gflop(batches, "encoder"), 3 * gflop(one, "encoder"), 1e-9);
  EXPECT_EQ(batches.at("stages").at("encoder").at("calls"), 3);
  const json candidates = with({"--candidates", "2"});
  EXPECT_NEAR(gflop(candidates, "step"), 2 * step, 1e-9 * step);
  EXPECT_EQ(gflop(candidates, "encoder"), gflop(one, "encoder"));
  const std::vector<std::string> guided{"--batch", "1", "--steps", "2", "--guidance", "1", "--no-back-refine"};
  EXPECT_NEAR(gflop(bench(ladic(), guided), "step"), 2 * step, 1e-9 * step);
}

TEST_F(BenchCommand, AForcedLengthIsTheWorkOfThatLength) {
  for (const fs::path& model : {ladic(), prefix()}) {
    const auto of_length = [&](const char* length) {
      return bench(model, {"--batch", "1", "--steps", "2", "--length", length});
    };
    const json four = of_length("4"), eight = of_length("8");
    EXPECT_EQ(four.at("length"), 4);
    EXPECT_GT(gflop(eight, "step"), gflop(four, "step"));
    EXPECT_GE(gflop(eight, "words"), 2 * gflop(four, "words"));
    EXPECT_EQ(gflop(eight, "encoder"), gflop(four, "encoder"));
  }
  const json written = bench(autoregressive(), {"--batch", "1", "--beams", "1", "--length", "6"});
  EXPECT_EQ(written.at("length"), 6);
  EXPECT_EQ(written.at("stages").at("step").at("calls"), 6) << "one call of the network a piece";
}

TEST_F(BenchCommand, MeasuresEveryCaptioner) {
  for (const fs::path& model : {ladic(), prefix(), autoregressive()}) {
    const json report = bench(model, {"--batch", "2"});
    EXPECT_THAT(keys(report.at("stages")), ElementsAre("condition", "encoder", "preprocess", "step", "words")) << model;
    EXPECT_GT(gflop(report, "encoder"), 0.0) << model;
    EXPECT_GT(gflop(report, "step"), 0.0) << model;
  }
  const json written = bench(autoregressive(), {"--batch", "2", "--beams", "2"});
  EXPECT_EQ(written.at("beams"), 2);
  EXPECT_FALSE(written.contains("steps"));
}

TEST_F(BenchCommand, DecodesGivenPictures) {
  const json report = bench(ladic(), {kScene.string(), "--steps", "1", "--images", "3", "--batch", "2"});
  EXPECT_EQ(report.at("images"), 3);
  EXPECT_EQ(report.at("stages").at("decode").at("calls"), 2);
}

TEST_F(BenchCommand, TimesLengthsInTurn) {
  const json report = bench(ladic(), {"--batch", "1", "--steps", "1", "--latency", "4,6,8"});
  ASSERT_EQ(report.at("latency").size(), 3u);
  EXPECT_EQ(report.at("latency").at(2).at("length"), 8);
  EXPECT_GT(report.at("latency").at(2).at("seconds").at("median"), 0.0);
  EXPECT_FALSE(report.contains("stages"));
  EXPECT_FALSE(report.contains("length"));
}

TEST_F(BenchCommand, ComparesWithTheRoofline) {
  const json report = bench(ladic(), {"--batch", "1", "--steps", "1", "--roofline"});
  EXPECT_GT(report.at("ceilings").at("gigabytes_per_second"), 0.0);
  EXPECT_FALSE(report.at("ceilings").at("products").empty());
  for (const char* stage : {"encoder", "condition", "step", "words"})
    EXPECT_GT(report.at("stages").at(stage).at("share_of_ceiling"), 0.0) << stage;
}

TEST_F(BenchCommand, SaysWhichTypeIsFastest) {
  const json report = bench(ladic(), {"--batch", "1", "--steps", "1", "--all-dtypes"});
  ASSERT_GE(report.at("dtypes").size(), 1u);
  EXPECT_EQ(report.at("dtypes").at(0).at("dtype"), "f32");
  EXPECT_THAT(report.at("fastest"), testing::AnyOf("f32", "bf16", "int8"));
  const CommandResult table = run_capdiff(arguments(ladic(), {"--batch", "1", "--steps", "1", "--all-dtypes"}));
  EXPECT_EQ(table.exit_code, 0) << table.errors;
  EXPECT_THAT(table.output, HasSubstr("fastest type here: "));
}

TEST_F(BenchCommand, RefusesWhatItCannot) {
  expect_refused(2, ladic(), {"--length", "8", "--latency", "8"}, "excludes");
  expect_refused(2, ladic(), {"--latency", "8", "--roofline"}, "excludes");
  expect_refused(2, ladic(), {"--latency", "0"}, "--latency");
  expect_refused(2, ladic(), {"--images", "0"}, "--images");
  expect_refused(2, ladic(), {"--repeat", "0"}, "--repeat");
  expect_refused(2, ladic(), {"--length", "2"}, "have 3 or more, for one word");
  expect_refused(2, ladic(), {"--length", "4000"}, "captions of 4000 positions do not fit");
  expect_refused(2, prefix(), {"--length", "4000"}, "captions of 4000 positions do not fit");
  expect_refused(2, autoregressive(), {"--length", "4000"}, "--min-length 4000");
  expect_refused(2, autoregressive(), {"--steps", "5"}, "writes from left to right");
  expect_refused(2, ladic(), {"-"}, "standard input");
  expect_refused(1, ladic(), {"--select", "clip", "--clip", "/no/clip"}, "/no/clip");
  expect_refused(1, ladic(), {"/no/such.jpg"}, "/no/such.jpg");
}

}  // namespace
}  // namespace capdiff::test
