#include <gtest/gtest.h>

#include <fstream>
#include <memory>

#include "capdiff/base/files.h"
#include "capdiff/captioners/captioner.h"
#include "capdiff/image/decode.h"
#include "capdiff/training/model_export.h"
#include "capdiff/training/stages.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/training/toy_prefix.h"
#include "tests/training/toy_recipe.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;

/// Trains a Prefix-diffusion once for all tests.
class PrefixRun : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    write_toy_data(folder_->path());
    write_toy_clip(place("clip"));
    std::ofstream(place("toy.toml")) << kToyPrefixRecipe;
    run_recipe(recipe(), {});
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static Recipe recipe(std::vector<std::string> settings = {}) {
    settings.insert(settings.begin(), {"data.root=" + folder_->path().string(), "output=" + place("run").string(),
                                       "from.clip=" + place("clip").string()});
    return Recipe::load(place("toy.toml"), settings);
  }
  static fs::path place(const char* name) { return folder_->path() / name; }
  static SafetensorsFile weights(const fs::path& folder) { return SafetensorsFile::open(folder / "model.safetensors"); }
  static bool same(const fs::path& a, const fs::path& b, const char* name) {
    return std::ranges::equal(weights(a).tensor(name).to(DType::bf16).bytes(),
                              weights(b).tensor(name).to(DType::bf16).bytes());
  }

 private:
  inline static std::unique_ptr<TemporaryFolder> folder_;
};

TEST_F(PrefixRun, LeavesAModelThatCaptions) {
  const fs::path model = place("run") / "model";
  const auto backend = make_onednn_backend({});
  const auto captioner = load_captioner(ModelFolder::open(model), *backend);
  EXPECT_EQ(captioner->defaults().steps, 3);
  const Image picture = read_image(place("images") / "5.jpg");
  EXPECT_EQ(captioner->caption(std::span(&picture, 1), captioner->defaults()).size(), 1u);

  const PrefixConfig config = PrefixConfig::of_folder(ModelFolder::open(model));
  EXPECT_TRUE(config.null_image);  // photos were dropped
  EXPECT_EQ(config.clip.embed, 5);
  const WordVocabulary words = WordVocabulary::load(model / "vocab.txt");
  EXPECT_EQ(config.text.vocab_size, words.size());
  EXPECT_NE(words.id("green"), words.unk());
  EXPECT_TRUE(fs::exists(place("run") / "samples" / "step-000006.txt"));
}

TEST_F(PrefixRun, LearnsAllButTheImageTower) {
  const fs::path model = place("run") / "model";
  for (const char* name : {"visual.conv1.weight", "visual.proj"}) EXPECT_TRUE(same(model, place("clip"), name)) << name;
  run_recipe(recipe({"output=" + place("more").string(), "prefix_diffusion.steps=7"}), {});
  EXPECT_TRUE(same(model, place("more") / "model", "visual.conv1.weight"));
  for (const char* name : {"word_embedding.weight", "lm_head.bias", "img_project.model.0.weight",
                           "input_transformers.layer.1.output.dense.weight"})
    EXPECT_FALSE(same(place("run") / "model-last", place("more") / "model-last", name)) << name;
}

TEST_F(PrefixRun, ExportsItsCheckpoints) {
  export_checkpoint(place("run"), place("averaged"), {});
  EXPECT_TRUE(same(place("averaged"), place("run") / "model-last", "word_embedding.weight"));
  export_checkpoint(place("run") / "checkpoints" / "prefix_diffusion" / "step-000006", place("plain"),
                    {.averaged = false});
  EXPECT_FALSE(same(place("averaged"), place("plain"), "word_embedding.weight"));
  const auto backend = make_onednn_backend({});
  load_captioner(ModelFolder::open(place("plain")), *backend);
}

TEST_F(PrefixRun, AnotherRunGoesOnFromTheModel) {
  std::ofstream(place("fine.toml")) << R"(
    threads = 1
    [data]
    dataset = "dataset.json"
    images = "images"
    splits = ["train"]
    [prefix_diffusion]
    steps = 1
    batch = 2
    learning_rate = 1e-3
  )";
  run_recipe(
      Recipe::load(place("fine.toml"),
                   std::vector<std::string>{"data.root=" + place("").string(), "output=" + place("tuned").string(),
                                            "from.model=" + (place("run") / "model").string()}),
      {});
  for (const char* file : {"config.json", "vocab.txt", "scheduler_config.json", "preprocessor_config.json"})
    EXPECT_EQ(read_file(place("tuned") / "model" / file, 1 << 20), read_file(place("run") / "model" / file, 1 << 20))
        << file;
  EXPECT_TRUE(same(place("tuned") / "model", place("run") / "model", "visual.conv1.weight"));
  EXPECT_FALSE(same(place("tuned") / "model", place("run") / "model", "output_down_proj.3.weight"));
}

TEST_F(PrefixRun, LayersOfBertAreTheLowerOnesOfTheDenoiser) {
  const auto tensor = [](std::int64_t rows, std::int64_t columns, float value) {
    HostTensor result(DType::f32, {rows, columns});
    std::ranges::fill(result.mutable_values<float>(), value);
    return result;
  };
  fs::create_directories(place("bert"));
  write_safetensors(place("bert") / "text.safetensors",
                    {{"space_encoder.encoder.layer.0.intermediate.dense.weight", tensor(24, 12, 0.5f)},
                     {"space_decoder.encoder.layer.1.intermediate.dense.weight", tensor(24, 12, 1.5f)},
                     {"space_decoder.encoder.layer.2.intermediate.dense.weight", tensor(24, 12, 2.5f)},
                     {"space_encoder.embeddings.word_embeddings.weight", tensor(3, 12, 9.0f)}});
  const std::string from_bert = "from.text=" + place("bert").string();
  const ParameterStore parameters = prefix_parameters(recipe({from_bert}), toy_prefix_config());
  const auto first = [&](const std::string& layer) {
    return parameters.get("input_transformers.layer." + layer + ".intermediate.dense.weight", {24, 12}, Init::zeros())
        .value.values<float>()[0];
  };
  EXPECT_EQ(first("0"), 0.5f);
  EXPECT_EQ(first("1"), 1.5f);
  EXPECT_FALSE(parameters.contains("input_transformers.layer.2.intermediate.dense.weight"));

  PrefixConfig other = toy_prefix_config();
  other.denoiser.hidden = 16;
  expect_error(ErrorCode::usage, "[24, 16]", [&] { prefix_parameters(recipe({from_bert}), other); });
  expect_error(ErrorCode::usage, "no layer of BERT",
               [&] { prefix_parameters(recipe({"from.text=" + place("clip").string()}), toy_prefix_config()); });
}

TEST_F(PrefixRun, WhatItNeedsIsSaidBeforeItRuns) {
  const Recipe lacking = Recipe::load(place("toy.toml"));
  expect_error(ErrorCode::usage, "from.clip", [&] { run_recipe(lacking, {}); });
  expect_error(ErrorCode::usage, "size is that of the vocabulary",
               [&] { check_prefix_recipe(recipe({"model.text.vocab_size=40"})); });
  expect_error(ErrorCode::usage, "model.denoiser.layer",
               [&] { check_prefix_recipe(recipe({"model.denoiser.layer=4"})); });
  write_safetensors(place("clip") / "model.safetensors", {{"visual.proj", HostTensor(DType::f32, {8, 5})}});
  expect_error(ErrorCode::invalid_model, "from.clip: there is no tensor 'visual.",
               [&] { run_recipe(recipe({"output=" + place("lacking").string()}), {}); });
  expect_error(ErrorCode::usage, "image_dropp", [&] { run_recipe(recipe({"prefix_diffusion.image_dropp=0.5"}), {}); });
}

}  // namespace
}  // namespace capdiff::test
