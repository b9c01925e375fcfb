#include <gtest/gtest.h>

#include <fstream>

#include "capdiff/captioners/captioner.h"
#include "capdiff/image/decode.h"
#include "capdiff/training/stages.h"
#include "tests/support/temporary_folder.h"
#include "tests/training/toy_recipe.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;

TEST(RecipeRun, TrainsEveryStageAndLeavesAModelThatCaptions) {
  const TemporaryFolder folder;
  write_toy_data(folder.path());
  std::ofstream(folder.path() / "toy.toml") << kToyRecipe;
  const fs::path output = folder.path() / "run";
  const Recipe recipe =
      Recipe::load(folder.path() / "toy.toml",
                   std::vector<std::string>{"data.root=" + folder.path().string(), "output=" + output.string()});
  run_recipe(recipe, {});

  const auto backend = make_onednn_backend({});
  const auto captioner = load_captioner(ModelFolder::open(output / "model"), *backend);
  EXPECT_EQ(captioner->defaults().steps, 4);
  const Image picture = read_image(folder.path() / "images" / "5.jpg");
  const std::vector<Caption> captions = captioner->caption(std::span(&picture, 1), captioner->defaults());
  ASSERT_EQ(captions.size(), 1u);
  EXPECT_EQ(captions[0].candidates.size(), 1u);

  // The exported weights are those of the last stage in bf16, and a second run has nothing left to do.
  const SafetensorsFile weights = SafetensorsFile::open(output / "model" / "model.safetensors");
  EXPECT_EQ(weights.entries().at("lm_head.predictions.decoder.weight").dtype, DType::bf16);
  EXPECT_EQ(weights.entries().at("lm_head.predictions.decoder.weight").shape, (Shape{40, 12}));
  const auto written = fs::last_write_time(output / "model" / "model.safetensors");
  run_recipe(recipe, {});
  EXPECT_EQ(fs::last_write_time(output / "model" / "model.safetensors"), written);
}

}  // namespace
}  // namespace capdiff::test
