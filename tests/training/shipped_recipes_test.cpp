#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "capdiff/training/stages.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;

const fs::path kRecipes = fs::path(CAPDIFF_SOURCE_DIR) / "recipes";

/// As far as a recipe can be checked before its first stage runs.
void check_all_tables(const fs::path& path) {
  const std::vector<std::string> here{"from.model=" + (fs::path(CAPDIFF_SOURCE_DIR) / "models/default").string()};
  const Recipe recipe = Recipe::load(path, path.stem() == "finetune" ? here : std::vector<std::string>{});
  std::size_t tables = 0;
  for (const Stage& stage : training_stages()) {
    if (!recipe.has(stage.name)) continue;
    stage.check(recipe);
    ++tables;
  }
  EXPECT_GT(tables, 0u);
}

TEST(ShippedRecipes, AreRight) {
  std::size_t count = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(kRecipes)) {
    if (entry.path().extension() != ".toml") continue;
    SCOPED_TRACE(entry.path().string());
    if (entry.path().stem() == "base") continue;
    EXPECT_NO_THROW(check_all_tables(entry.path()));
    ++count;
  }
  EXPECT_GE(count, 34u);
}

TEST(ShippedRecipes, AMistakeInTheLastTableIsFoundBeforeTheFirstStageRuns) {
  const TemporaryFolder folder;
  std::ifstream recipe(kRecipes / "flickr8k-small.toml");
  std::string text(std::istreambuf_iterator<char>(recipe), {});
  const std::size_t key = text.rfind("self_condition");
  ASSERT_NE(key, std::string::npos);
  text.replace(key, 14, "self_conditon");
  const fs::path path = folder.write("wrong.toml", text);
  const Recipe wrong = Recipe::load(path, std::vector<std::string>{"output=" + (folder.path() / "run").string()});
  const std::string message = expect_error(ErrorCode::usage, "ladic.self_conditon", [&] { run_recipe(wrong, {}); });
  EXPECT_NE(message.find("did you mean \"self_condition\""), std::string::npos) << message;
  EXPECT_FALSE(fs::exists(folder.path() / "run" / "vocab.txt"));
}

}  // namespace
}  // namespace capdiff::test
