#include "capdiff/training/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "capdiff/training/optimisation_options.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RecipeTest : public ::testing::Test {
 protected:
  void SetUp() override { ::unsetenv("CAPDIFF_DATA"); }

  Recipe load(const std::string& text, const std::vector<std::string>& overrides = {}) const {
    return Recipe::load(folder_.write("tiny.toml", text), overrides);
  }
  void expect_usage_error(const std::string& part, const std::string& text,
                          const std::vector<std::string>& overrides = {}) const {
    test::expect_error(ErrorCode::usage, part, [&] { load(text, overrides); });
  }

  test::TemporaryFolder folder_;
};

TEST_F(RecipeTest, HasDefaults) {
  const Recipe recipe = load("");
  EXPECT_EQ(recipe.name(), "tiny");
  EXPECT_EQ(recipe.output(), "runs/tiny");
  EXPECT_EQ(recipe.seed(), 0u);
  EXPECT_EQ(recipe.device(), "cpu");
  EXPECT_EQ(recipe.backend().compute, DType::f32);
  EXPECT_FALSE(recipe.has("ladic"));
}

TEST_F(RecipeTest, ReadsSettingsAndTables) {
  const Recipe recipe = load(R"(
    name = "small"
    seed = 7
    output = "elsewhere"
    compute = "bf16"
    threads = 2
    keep_checkpoints = 5
    rank_timeout = 20
    [data]
    root = "/pictures"
    dataset = "dataset.json"
    teacher = "/models/teacher"
    splits = ["train", "restval"]
    [ladic]
    batch = 8
    [ladic.inner]
    rate = 0.5
  )");
  EXPECT_EQ(recipe.name(), "small");
  EXPECT_EQ(recipe.seed(), 7u);
  EXPECT_EQ(recipe.output(), "elsewhere");
  EXPECT_EQ(recipe.backend().compute, DType::bf16);
  EXPECT_EQ(recipe.backend().threads, 2);
  EXPECT_EQ(recipe.keep_checkpoints(), 5);
  EXPECT_EQ(recipe.rank_timeout(), std::chrono::seconds(20));
  EXPECT_EQ(recipe.data().path("dataset"), "/pictures/dataset.json");
  EXPECT_EQ(recipe.data().path("teacher"), "/models/teacher");
  EXPECT_THAT(recipe.data().splits(), ElementsAre("train", "restval"));
  EXPECT_EQ(recipe.table("ladic").get_int("batch", 1, 100), 8);
  EXPECT_EQ(recipe.table("ladic").get_object("inner").get_number("rate", 0, 1), 0.5);
}

TEST_F(RecipeTest, OverridesTakeTomlAndPlainText) {
  const Recipe recipe =
      load("[ladic]\nbatch = 8\n", {"ladic.batch=16", "ladic.learning_rate=1e-4", "ladic.inner.on=true", "name=plain",
                                    "ladic.list=[1, 2]", "data.root=/a/b=c"});
  EXPECT_EQ(recipe.name(), "plain");
  EXPECT_EQ(recipe.output(), "runs/plain");
  const JsonReader table = recipe.table("ladic");
  EXPECT_EQ(table.get_int("batch", 1, 100), 16);
  EXPECT_EQ(table.get_number("learning_rate", 0, 1), 1e-4);
  EXPECT_TRUE(table.get_object("inner").get_bool("on"));
  EXPECT_THAT(table.get_ints("list", 5, 0, 9), ElementsAre(1, 2));
  EXPECT_EQ(recipe.table("data").get_string("root"), "/a/b=c");
}

TEST_F(RecipeTest, AnOverrideSetsOneKeyOnly) {
  const Recipe recipe = load("", {"name=1\nseed = 5"});
  EXPECT_EQ(recipe.seed(), 0u);
}

TEST_F(RecipeTest, TomlInForceGivesTheSameRecipe) {
  const Recipe recipe =
      load("[ladic]\nbatch = 8\n[data]\nsplits = [\"train\"]\n", {"ladic.learning_rate=1e-4", "seed=3"});
  const Recipe again = load(recipe.toml());
  EXPECT_EQ(again.toml(), recipe.toml());
  EXPECT_EQ(again.seed(), 3u);
  EXPECT_EQ(again.table("ladic").get_number("learning_rate", 0, 1), 1e-4);
  EXPECT_THAT(recipe.toml(), HasSubstr("output = "));
}

TEST_F(RecipeTest, MisspeltKeysNameTheNearestRightOne) {
  expect_usage_error("did you mean \"threads\"", "thread = 2");
  expect_usage_error("did you mean \"ladic\"", "[ladik]\n");
  expect_usage_error("did you mean \"splits\"", "[data]\nsplit = [\"train\"]\n");
  expect_usage_error("did you mean \"seed\"", "", {"sed=5"});
}

TEST_F(RecipeTest, NamesWhatIsWrong) {
  expect_usage_error("tiny.toml:2:", "seed = 1\nname = = 3\n");
  expect_usage_error("seed", "seed = \"one\"");
  expect_usage_error("seed", "seed = -1");
  expect_usage_error("compute", "compute = \"f64\"");
  expect_usage_error("ladic", "ladic = 3");
  expect_usage_error("cannot name a folder", "name = \"../up\"");
  expect_usage_error("dates", "seed = 2024-01-01");
  expect_usage_error("--set seed", "", {"seed"});
  expect_usage_error("--set =3", "", {"=3"});
  expect_usage_error("\"seed\" is not a table", "seed = 1", {"seed.inner=2"});
  expect_usage_error("--set ..a=1", "", {"..a=1"});
  test::expect_error(ErrorCode::not_found, "absent.toml", [&] { Recipe::load(folder_.path() / "absent.toml"); });
}

TEST_F(RecipeTest, DataRootComesFromTheEnvironment) {
  const std::string text = "[data]\nimages = \"images\"\n";
  const Recipe without = load(text);
  test::expect_error(ErrorCode::usage, "CAPDIFF_DATA", [&] { without.data().path("images"); });
  test::expect_error(ErrorCode::usage, "data.captions", [&] { without.data().path("captions"); });
  ::setenv("CAPDIFF_DATA", "/pictures", 1);
  EXPECT_EQ(load(text).data().path("images"), "/pictures/images");
  EXPECT_EQ(load(text + "root = \"/mine\"\n").data().path("images"), "/mine/images");
  ::unsetenv("CAPDIFF_DATA");
}

TEST_F(RecipeTest, OptimisationKeysAreShared) {
  const Recipe recipe = load(R"([ladic]
    epochs = 2
    batch = 4
    learning_rate = 5e-5
    warmup = 0.1
    decay = "cosine"
    ema = 0.99
    own = 1
  )");
  const JsonReader table = recipe.table("ladic");
  const OptimisationOptions options = read_optimisation(table);
  EXPECT_EQ(options.total_steps(10), 5);
  EXPECT_EQ(options.total_steps(1), 1);
  EXPECT_EQ(options.decay, Decay::cosine);
  EXPECT_EQ(options.ema, 0.99);
  EXPECT_EQ(options.weight_decay, 0.01);
  EXPECT_EQ(options.gradient_clip, 0.0);
  test::expect_error(ErrorCode::usage, "own", [&] { table.reject_unknown_keys(); });
  EXPECT_EQ(table.get_int("own", 0, 9), 1);
  table.reject_unknown_keys();
}

TEST_F(RecipeTest, OptimisationNeedsStepsOrEpochs) {
  const auto read = [&](const std::string& keys) {
    return [this, keys] { read_optimisation(load("[ladic]\nbatch = 1\nlearning_rate = 1\n" + keys).table("ladic")); };
  };
  test::expect_error(ErrorCode::usage, "steps or epochs", read(""));
  test::expect_error(ErrorCode::usage, "steps or epochs", read("steps = 1\nepochs = 1\n"));
  test::expect_error(ErrorCode::usage, "accumulate", read("steps = 1\naccumulate = 0\n"));
  test::expect_error(ErrorCode::usage, "ema", read("steps = 1\nema = 1.0\n"));
  test::expect_error(ErrorCode::usage, "decay", read("steps = 1\ndecay = \"step\"\n"));
}

TEST_F(RecipeTest, TakesOverWhatItsBaseSays) {
  folder_.write("root.toml", "seed = 1\n[ladic]\nbatch = 8\nsteps = 5\n[ladic.inner]\na = 1\nb = 2\n");
  folder_.write("middle.toml", "base = \"root.toml\"\nseed = 2\n[ladic]\nsteps = 6\n");
  const Recipe recipe = load("base = \"middle.toml\"\n[ladic.inner]\nb = 3\n", {"ladic.batch=9"});
  EXPECT_EQ(recipe.name(), "tiny");
  EXPECT_EQ(recipe.seed(), 2u);
  const JsonReader table = recipe.table("ladic");
  EXPECT_EQ(table.get_int("batch", 0, 100), 9);
  EXPECT_EQ(table.get_int("steps", 0, 100), 6);
  EXPECT_EQ(table.get_object("inner").get_int("a", 0, 100), 1);
  EXPECT_EQ(table.get_object("inner").get_int("b", 0, 100), 3);
  EXPECT_THAT(recipe.toml(), ::testing::Not(HasSubstr("base")));
}

TEST_F(RecipeTest, BasesMustExistAndEnd) {
  expect_usage_error("base", "base = 3\n");
  expect_usage_error("each the base of another", "base = \"tiny.toml\"\n");
  test::expect_error(ErrorCode::not_found, "nowhere.toml", [&] { load("base = \"nowhere.toml\"\n"); });
}

TEST_F(RecipeTest, DataMayBeADatasetAlone) {
  const Recipe recipe = load("[data]\nimages = \"/elsewhere\"\n", {"data=/my/photos"});
  EXPECT_EQ(recipe.data().path("dataset"), "/my/photos");
  EXPECT_FALSE(recipe.data().has("images"));
}

}  // namespace
}  // namespace capdiff
