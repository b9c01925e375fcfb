#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "capdiff/formats/safetensors.h"
#include "tests/support/command.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"
#include "tests/support/torch_file.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// The real program and a tiny model that writes from left to right.
class AutoregressiveCommand : public testing::Test {
 protected:
  void SetUp() override { write_tiny_autoregressive_model(model_); }

  CommandResult caption(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"caption", "-m", model_.string(), kScene.string()});
    return run_capdiff(arguments);
  }

  void expect_wrong_usage(const std::vector<std::string>& arguments, const std::string& reason) const {
    const CommandResult result = caption(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr(reason));
  }

  TemporaryFolder folder_;
  fs::path model_ = folder_.path() / "model";
};

TEST_F(AutoregressiveCommand, CaptionsInManyWays) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{},
                                                    {"--beams", "1"},
                                                    {"--beams", "5", "--length-penalty", "2"},
                                                    {"--fast"},
                                                    {"--best"},
                                                    {"--sample", "--seed", "3"},
                                                    {"--top-p", "0.5"},
                                                    {"--min-length", "3", "--max-length", "4"},
                                                    {"--repetition-penalty", "1.5"},
                                                    {"--dtype", "bf16"},
                                                    {"--candidates", "3", "--select", "mbr"}}) {
    const CommandResult result = caption(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_EQ(std::ranges::count(result.output, '\n'), 1) << result.output;
  }
  const CommandResult four = caption({"--length", "4"});
  EXPECT_EQ(std::ranges::count(four.output, ' '), 3) << four.output;
  EXPECT_EQ(std::ranges::count(caption({"--candidates", "4", "--all"}).output, '\n'), 4);
}

TEST_F(AutoregressiveCommand, JsonLinesDoNotSpeakOfDenoising) {
  const CommandResult result = caption({"--format", "jsonl", "--candidates", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const nlohmann::json line = nlohmann::json::parse(result.output);
  EXPECT_EQ(line.at("candidates").size(), 2u);
  EXPECT_FALSE(line.contains("steps"));
  EXPECT_FALSE(line.contains("guidance"));
}

TEST_F(AutoregressiveCommand, RefusesWhatItCannot) {
  expect_wrong_usage({"--steps", "5"}, "--steps: this model writes from left to right");
  expect_wrong_usage({"--guidance", "1"}, "--guidance: this model writes from left to right");
  expect_wrong_usage({"--back-refine"}, "--back-refine");
  expect_wrong_usage({"--clamp", "hard"}, "--clamp");
  expect_wrong_usage({"--beams", "2", "--candidates", "3"}, "--beams");
  expect_wrong_usage({"--min-length", "5", "--max-length", "4"}, "at least 5 and at most 4");
  const CommandResult traced = caption({"--trace"});
  EXPECT_EQ(traced.exit_code, 1);
  EXPECT_THAT(traced.errors, HasSubstr("there is no denoising to show"));
  const CommandResult filled = run_capdiff({"fill", "-m", model_.string(), kScene.string(), "a [MASK] dog"});
  EXPECT_EQ(filled.exit_code, 1);
  EXPECT_THAT(filled.errors, HasSubstr("words on both sides"));

  const fs::path denoises = folder_.path() / "ladic";
  write_tiny_model(denoises);
  const CommandResult beams = run_capdiff({"caption", "-m", denoises.string(), kScene.string(), "--beams", "2"});
  EXPECT_EQ(beams.exit_code, 2);
  EXPECT_THAT(beams.errors, HasSubstr("--beams: this model denoises all words at once"));
}

TEST_F(AutoregressiveCommand, EvaluatesASplit) {
  nlohmann::json dataset{{"dataset", "toy"}, {"images", nlohmann::json::array()}};
  dataset["images"].push_back({{"imgid", 3},
                               {"filename", kScene.filename().string()},
                               {"split", "val"},
                               {"sentences", {{{"raw", "a man rides the red horse"}}}}});
  std::ofstream(folder_.path() / "dataset.json") << dataset;
  const CommandResult result =
      run_capdiff({"evaluate", "-m", model_.string(), "--dataset", (folder_.path() / "dataset.json").string(),
                   "--images", kScene.parent_path().string(), "--split", "val", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(nlohmann::json::parse(result.output).at("signature").get<std::string>(),
              HasSubstr("left to right | beams 3"));
}

TEST_F(AutoregressiveCommand, ConvertsBlip) {
  std::map<std::string, HostTensor> tensors;
  const SafetensorsFile file = SafetensorsFile::open(model_ / "model.safetensors");
  for (const std::string& name : file.names()) tensors.emplace(name, file.tensor(name));
  const fs::path weights = folder_.write("blip.pth", torch_zip(tensors));
  const fs::path out = folder_.path() / "blip";
  const CommandResult converted =
      run_capdiff({"convert", "--from", "blip", "--weights", weights.string(), "--vocab",
                   (model_ / "vocab.txt").string(), "--image-heads", "2", "--text-heads", "2", "-o", out.string()});
  ASSERT_EQ(converted.exit_code, 0) << converted.errors;
  const CommandResult theirs = run_capdiff({"caption", "-m", out.string(), kScene.string(), "--max-length", "10"});
  EXPECT_EQ(theirs.exit_code, 0) << theirs.errors;
  EXPECT_EQ(theirs.output, caption({}).output);
}

TEST_F(AutoregressiveCommand, VerifiesItsGoldens) {
  const CommandResult result =
      run_capdiff({"verify", (fs::path(CAPDIFF_SOURCE_DIR) / "tests/data/blip_ar_tiny").string(), "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  const nlohmann::json report = nlohmann::json::parse(result.output);
  EXPECT_EQ(report.at("failed"), 0);
  for (const nlohmann::json& name : report.at("skipped")) EXPECT_TRUE(name.get<std::string>().starts_with("grad."));
}

}  // namespace
}  // namespace capdiff::test
