#include "capdiff/training/stages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/training/rank_threads.h"

namespace capdiff {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Runs recipes over stages that only write down that they ran.
class StagesTest : public ::testing::Test {
 protected:
  StagesTest() {
    for (const char* name : {"vocabulary", "statistics", "ladic"}) {
      stages_.push_back({name, [this](RunContext& run) {
                           ran_.push_back(run.stage());
                           std::ofstream(run.output(run.stage() + ".txt")) << "output";
                           if (failing_ == run.stage()) fail(ErrorCode::invalid_input, "no captions");
                         }});
    }
  }

  std::vector<std::string> run(const std::string& text, const RunOptions& options = {}) {
    ran_.clear();
    const auto path = folder_.write("tiny.toml", "output = \"" + run_folder().string() + "\"\n" + text);
    run_recipe(Recipe::load(path), options, stages_);
    return ran_;
  }
  std::filesystem::path run_folder() const { return folder_.path() / "run"; }

  test::TemporaryFolder folder_;
  std::vector<Stage> stages_;
  std::vector<std::string> ran_;
  std::string failing_;
};

TEST_F(StagesTest, RunInOrderWhereTheRecipeHasTheirTables) {
  EXPECT_THAT(run("[ladic]\n[vocabulary]\n"), ElementsAre("vocabulary", "ladic"));
  EXPECT_TRUE(std::filesystem::exists(run_folder() / "recipe.toml"));
}

TEST_F(StagesTest, DoneOnesAreSkipped) {
  const std::string recipe = "[vocabulary]\n[statistics]\n[ladic]\n";
  failing_ = "statistics";
  test::expect_error(ErrorCode::invalid_input, "no captions", [&] { run(recipe); });
  failing_.clear();
  EXPECT_THAT(run(recipe), ElementsAre("statistics", "ladic"));
  EXPECT_THAT(run(recipe), IsEmpty());
  std::filesystem::remove(run_folder() / "statistics.txt");
  EXPECT_THAT(run(recipe), ElementsAre("statistics"));
  EXPECT_THAT(run(recipe, {.resume = false}), ElementsAre("vocabulary", "statistics", "ladic"));
}

TEST_F(StagesTest, SingleStagesCanBeChosen) {
  const std::string recipe = "[vocabulary]\n[ladic]\n";
  EXPECT_THAT(run(recipe, {.only = {"ladic"}}), ElementsAre("ladic"));
  EXPECT_THAT(run(recipe), ElementsAre("vocabulary"));
  test::expect_error(ErrorCode::usage, "did you mean \"ladic\"", [&] { run(recipe, {.only = {"ladik"}}); });
  test::expect_error(ErrorCode::usage, "no table [statistics]", [&] { run(recipe, {.only = {"statistics"}}); });
}

TEST_F(StagesTest, AMissingOutputIsOurMistake) {
  stages_ = {{"ladic", [](RunContext& run) { run.output("model"); }}};
  test::expect_error(ErrorCode::internal, "model", [&] { run("[ladic]\n"); });
}

TEST_F(StagesTest, OnlySharedOnesRunOnAllRanks) {
  std::atomic<int> alone{0}, together{0};
  stages_ = {{"vocabulary",
              [&](RunContext& run) {
                EXPECT_TRUE(run.leads());
                ++alone;
              }},
             {"ladic", [&](RunContext&) { ++together; }, /*shared=*/true}};
  const auto path = folder_.write("tiny.toml", "output = \"" + run_folder().string() + "\"\n[vocabulary]\n[ladic]\n");
  const Recipe recipe = Recipe::load(path);
  for (int time = 0; time < 2; ++time) {  // the second finds all stages done
    test::as_ranks(2, [&](const std::shared_ptr<Ranks>& ranks) { run_recipe(recipe, {.ranks = ranks}, stages_); });
    EXPECT_EQ(alone, 1);
    EXPECT_EQ(together, 2);
  }
}

TEST_F(StagesTest, TwoProcessesDoNotShareAFolder) {
  const RunFolder other(run_folder());
  test::expect_error(ErrorCode::usage, "another process", [&] { run("[ladic]\n"); });
}

TEST(TrainingStages, RunInTheOrderOfTheirDependencies) {
  std::vector<std::string> names;
  for (const Stage& stage : training_stages()) names.push_back(stage.name);
  EXPECT_THAT(names, ElementsAre("vocabulary", "language_model", "statistics", "text_diffusion", "image_encoder",
                                 "ladic", "clip", "word_vocabulary", "prefix_diffusion", "autoregressive"));
}

TEST(TrainingStages, HaveTablesThatRecipesMayHave) {
  const test::TemporaryFolder folder;
  for (const Stage& stage : training_stages()) {
    std::ofstream(folder.path() / "recipe.toml") << "[" << stage.name << "]\n";
    EXPECT_TRUE(Recipe::load(folder.path() / "recipe.toml").has(stage.name));
  }
}

}  // namespace
}  // namespace capdiff
