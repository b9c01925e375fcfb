#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "capdiff/base/files.h"
#include "capdiff/captioners/captioner.h"
#include "capdiff/image/decode.h"
#include "capdiff/training/model_export.h"
#include "capdiff/training/stages.h"
#include "tests/support/command.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/training/toy_recipe.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;

/// Trains all stages once for all tests.
class RecipeRun : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    write_toy_data(folder_->path());
    std::ofstream(folder_->path() / "toy.toml") << kToyRecipe;
    run_recipe(recipe(), {});
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static Recipe recipe() {
    return Recipe::load(folder_->path() / "toy.toml", std::vector<std::string>{"data.root=" + folder_->path().string(),
                                                                               "output=" + output().string()});
  }
  static fs::path output() { return folder_->path() / "run"; }
  static fs::path other(const char* name) { return folder_->path() / name; }
  static std::string text(const fs::path& path) { return read_text(path, 1 << 20); }
  static std::vector<float> head(const fs::path& model) {
    const HostTensor weight =
        SafetensorsFile::open(model / "model.safetensors").tensor("lm_head.predictions.decoder.weight").to(DType::f32);
    return {weight.values<float>().begin(), weight.values<float>().end()};
  }

 private:
  inline static std::unique_ptr<TemporaryFolder> folder_;
};

TEST_F(RecipeRun, LeavesAModelThatCaptions) {
  const auto backend = make_onednn_backend({});
  const auto captioner = load_captioner(ModelFolder::open(output() / "model"), *backend);
  EXPECT_EQ(captioner->defaults().steps, 4);
  const Image picture = read_image(other("images") / "5.jpg");
  const std::vector<Caption> captions = captioner->caption(std::span(&picture, 1), captioner->defaults());
  ASSERT_EQ(captions.size(), 1u);
  EXPECT_EQ(captions[0].candidates.size(), 1u);

  // The exported weights are those of the last stage in bf16, and a second run has nothing left to do.
  const SafetensorsFile weights = SafetensorsFile::open(output() / "model" / "model.safetensors");
  EXPECT_EQ(weights.entries().at("lm_head.predictions.decoder.weight").dtype, DType::bf16);
  EXPECT_EQ(weights.entries().at("lm_head.predictions.decoder.weight").shape, (Shape{40, 12}));
  const auto written = fs::last_write_time(output() / "model" / "model.safetensors");
  run_recipe(recipe(), {});
  EXPECT_EQ(fs::last_write_time(output() / "model" / "model.safetensors"), written);
}

TEST_F(RecipeRun, ShowsHowItWent) {
  std::map<std::string, std::vector<nlohmann::json>> validations;
  std::istringstream lines(text(output() / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json json = nlohmann::json::parse(line);
    if (json.contains("validation")) validations[json["stage"]].push_back(json);
  }
  ASSERT_EQ(validations["ladic"].size(), 2u);
  EXPECT_EQ(validations["ladic"][0]["step"], 4);
  EXPECT_EQ(validations["ladic"][1]["step"], 6);
  for (const char* score : {"CIDEr-D", "BLEU-4", "loss"})
    EXPECT_GE(validations["ladic"][0]["validation"].at(score).get<double>(), 0.0);
  EXPECT_EQ(validations["image_encoder"].size(), 1u);
  const std::string samples = text(output() / "samples" / "step-000006.txt");
  EXPECT_TRUE(samples.starts_with("5.jpg\n  caption:   ")) << samples;
  EXPECT_NE(samples.find("  reference: something green on a wall\n"), std::string::npos);
  EXPECT_NE(text(output() / "curves.svg").find("ladic: validation"), std::string::npos);
  EXPECT_FALSE(fs::is_empty(output() / "tensorboard" / "ladic"));
}

TEST_F(RecipeRun, KeepsTheBestModelBesideTheLast) {
  const nlohmann::json best = nlohmann::json::parse(text(output() / "model" / "validation.json"));
  const nlohmann::json last = nlohmann::json::parse(text(output() / "model-last" / "validation.json"));
  EXPECT_EQ(last["step"], 6);
  if (best["step"] == 6) {
    EXPECT_EQ(best["CIDEr-D"], last["CIDEr-D"]);
    EXPECT_EQ(head(output() / "model"), head(output() / "model-last"));
  } else {  // where both are equally good, the first stays
    EXPECT_EQ(best["step"], 4);
    EXPECT_GE(best["CIDEr-D"], last["CIDEr-D"]);
    EXPECT_NE(head(output() / "model"), head(output() / "model-last"));
  }
}

TEST_F(RecipeRun, ExportsItsCheckpoints) {
  export_checkpoint(output(), other("averaged"), {});
  EXPECT_EQ(head(other("averaged")), head(output() / "model-last"));
  EXPECT_FALSE(fs::exists(other("averaged") / "validation.json"));
  const fs::path checkpoint = output() / "checkpoints" / "ladic" / "step-000006";
  export_checkpoint(checkpoint, other("plain"), {.averaged = false});
  EXPECT_NE(head(other("plain")), head(other("averaged")));
  export_checkpoint(output(), other("named"), {.step = 6});
  EXPECT_EQ(head(other("named")), head(other("averaged")));
  const auto backend = make_onednn_backend({});
  load_captioner(ModelFolder::open(other("plain")), *backend);

  const CommandResult command = run_capdiff({"export", output().string(), "-o", other("command").string()});
  EXPECT_EQ(command.exit_code, 0) << command.errors;
  EXPECT_EQ(head(other("command")), head(other("averaged")));
  EXPECT_EQ(run_capdiff({"export", output().string()}).exit_code, 2);

  expect_error(ErrorCode::not_found, "step-000005", [] { export_checkpoint(output(), other("x"), {.step = 5}); });
  expect_error(ErrorCode::not_found, "neither a run folder",
               [] { export_checkpoint(other("images"), other("x"), {}); });
  EXPECT_FALSE(fs::exists(other("x")));
}

TEST_F(RecipeRun, AnotherRunGoesOnFromTheModel) {
  std::ofstream(other("fine.toml")) << R"(
    threads = 1
    [data]
    dataset = "dataset.json"
    images = "images"
    splits = ["train"]
    [ladic]
    steps = 1
    batch = 2
    captions_per_photo = 1
    learning_rate = 1e-3
    cache_photos = true
    cache_latents = true
  )";
  const fs::path tuned = other("tuned");
  run_recipe(Recipe::load(other("fine.toml"),
                          std::vector<std::string>{"data.root=" + other("").string(), "output=" + tuned.string(),
                                                   "from.model=" + (output() / "model").string()}),
             {});
  for (const char* same : {"config.json", "vocab.txt", "scheduler_config.json"})
    EXPECT_EQ(read_file(tuned / "model" / same, 1 << 20), read_file(output() / "model" / same, 1 << 20)) << same;
  const SafetensorsFile weights = SafetensorsFile::open(output() / "model" / "model.safetensors");
  const SafetensorsFile moved = SafetensorsFile::open(tuned / "model" / "model.safetensors");
  const auto differ = [&](const char* name) {
    return !std::ranges::equal(moved.tensor(name).bytes(), weights.tensor(name).bytes());
  };
  EXPECT_TRUE(differ("diffuser.encoder.layer.0.intermediate.dense.weight"));
  EXPECT_FALSE(differ("visual_encoder.norm.weight"));
  EXPECT_FALSE(differ("space_encoder.embeddings.word_embeddings.weight"));
}

}  // namespace
}  // namespace capdiff::test
