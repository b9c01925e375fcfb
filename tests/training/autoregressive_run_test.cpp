#include <gtest/gtest.h>

#include <fstream>
#include <memory>

#include "capdiff/backends/torch/torch_backend.h"
#include "capdiff/captioners/captioner.h"
#include "capdiff/image/decode.h"
#include "capdiff/training/autoregressive_objective.h"
#include "capdiff/training/autoregressive_recipe.h"
#include "capdiff/training/model_export.h"
#include "capdiff/training/stages.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/training/toy_recipe.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kToyAutoregressiveRecipe = R"(
name = "toy-autoregressive"
seed = 3
threads = 1
[data]
dataset = "dataset.json"
images = "images"
splits = ["train"]
[model]
model_type = "autoregressive"
prompt = "a picture"
length = 9
[model.image_encoder]
type = "vit"
image_size = 16
patch = 8
width = 8
depth = 1
heads = 2
mlp = 16
[model.text]
vocab_size = 12
hidden = 16
layers = 2
heads = 2
intermediate = 32
max_position = 12
init_std = 0.2
[generation]
seed = 4
[generation.left_to_right]
beams = 2
[autoregressive]
steps = 60
batch = 5
captions_per_photo = 2
learning_rate = 2e-2
ema = 0.5
[validation]
every = 40
)";

/// Trains an autoregressive captioner once for all tests.
class AutoregressiveRun : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    write_toy_data(place(""));
    std::ofstream(place("toy.toml")) << kToyAutoregressiveRecipe;
    fs::create_directories(place("encoder"));
    const auto backend = make_torch_backend({});
    ParameterStore parameters;
    parameters.initialise_missing(7);
    const VisionTransformerConfig sizes{
        .image_size = 16, .patch = 8, .width = 8, .depth = 1, .heads = 2, .mlp = 16, .init_std = 0.5f};
    make_image_encoder(*backend, Scope(parameters) / "visual_encoder", sizes);
    write_safetensors(place("encoder") / "image_encoder.safetensors", backend->state());
    std::ofstream(place("encoder") / "vocab.txt")
        << "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\na\nred\ngreen\npicture\nsomething\nwall\n";
    run_recipe(recipe(), {});
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static Recipe recipe(std::vector<std::string> settings = {}) {
    settings.insert(settings.begin(), {"data.root=" + place("").string(), "output=" + place("run").string(),
                                       "from.image_encoder=" + place("encoder").string()});
    return Recipe::load(place("toy.toml"), settings);
  }
  static fs::path place(const char* name) { return folder_->path() / name; }
  static HostTensor weight(const fs::path& file, const char* name) {
    return SafetensorsFile::open(file).tensor(name).to(DType::bf16);
  }

 private:
  inline static std::unique_ptr<TemporaryFolder> folder_;
};

TEST_F(AutoregressiveRun, LearnsToNameTheColourOfAPhoto) {
  const auto backend = make_onednn_backend({});
  const auto captioner = load_captioner(ModelFolder::open(place("run") / "model-last"), *backend);
  EXPECT_EQ(captioner->defaults().left_to_right->beams, 2);
  EXPECT_EQ(captioner->defaults().seed, 4u);
  for (const auto& [photo, colour] :
       {std::pair("0.jpg", "red"), {"1.jpg", "green"}, {"2.jpg", "red"}, {"3.jpg", "green"}}) {
    const Image picture = read_image(place("images") / photo);
    const Caption caption = captioner->caption({&picture, 1}, captioner->defaults())[0];
    EXPECT_NE(caption.text.find(colour), std::string::npos) << photo << ": " << caption.text;
  }
  EXPECT_TRUE(fs::exists(place("run") / "samples" / "step-000060.txt"));
}

TEST_F(AutoregressiveRun, LearnsAllButTheImageEncoder) {
  const fs::path model = place("run") / "model-last" / "model.safetensors";
  EXPECT_TRUE(std::ranges::equal(
      weight(model, "visual_encoder.blocks.0.mlp.fc1.weight").bytes(),
      weight(place("encoder") / "image_encoder.safetensors", "visual_encoder.blocks.0.mlp.fc1.weight").bytes()));
  ParameterStore fresh;
  fresh.initialise_missing(3);
  for (const char* name : {"text_decoder.bert.embeddings.word_embeddings.weight",
                           "text_decoder.bert.encoder.layer.0.crossattention.self.key.weight",
                           "text_decoder.cls.predictions.transform.dense.weight"}) {
    const HostTensor learnt = weight(model, name);
    EXPECT_FALSE(std::ranges::equal(learnt.bytes(),
                                    fresh.get(name, learnt.shape(), Init::normal(0.2f)).value.to(DType::bf16).bytes()))
        << name;
  }
}

TEST_F(AutoregressiveRun, ExportsItsCheckpoints) {
  export_checkpoint(place("run"), place("averaged"), {});
  const auto backend = make_onednn_backend({});
  EXPECT_NO_THROW(load_captioner(ModelFolder::open(place("averaged")), *backend));
}

TEST_F(AutoregressiveRun, AnotherRunGoesOnFromTheModel) {
  std::ofstream(place("fine.toml")) << R"(
    threads = 1
    [data]
    dataset = "dataset.json"
    images = "images"
    splits = ["train"]
    [autoregressive]
    steps = 1
    batch = 2
    learning_rate = 1e-5
  )";
  run_recipe(
      Recipe::load(place("fine.toml"),
                   std::vector<std::string>{"data.root=" + place("").string(), "output=" + place("tuned").string(),
                                            "from.model=" + (place("run") / "model-last").string()}),
      {});
  const char* name = "text_decoder.bert.encoder.layer.1.output.dense.weight";
  const HostTensor before = weight(place("run") / "model-last" / "model.safetensors", name).to(DType::f32);
  const HostTensor after = weight(place("tuned") / "model" / "model.safetensors", name).to(DType::f32);
  for (std::size_t i = 0; i < before.values<float>().size(); ++i)
    EXPECT_NEAR(before.values<float>()[i], after.values<float>()[i], 1e-2f);
}

TEST_F(AutoregressiveRun, RecipesAreCheckedBeforeAnythingRuns) {
  const auto check = [](const Recipe& recipe) { autoregressive_stage().check(recipe); };
  expect_error(ErrorCode::usage, "from.image_encoder", [&] { check(Recipe::load(place("toy.toml"))); });
  expect_error(ErrorCode::usage, "model.text.layer", [&] { check(recipe({"model.text.layer=4"})); });
  expect_error(ErrorCode::usage, "autoregressive.self_condition",
               [&] { check(recipe({"autoregressive.self_condition=0.5"})); });
  expect_error(ErrorCode::usage, "vocab_size = 13", [&] {
    run_recipe(recipe({"model.text.vocab_size=13", "output=" + place("x").string()}), {});
  });
}

TEST_F(AutoregressiveRun, PromptAndPaddingAreNotLearnt) {
  const AutoregressiveConfig config = autoregressive_config(recipe());
  const WordPieceTokenizer tokenizer(autoregressive_vocabulary(recipe(), place("run"), config));
  EncodedCaptions captions = prompted_captions(tokenizer, config);
  captions.add("Something red.");
  captions.add("a red a green a red a green");
  EXPECT_EQ(captions.add(" . "), -1);
  const auto backend = make_torch_backend({});
  const ParameterStore parameters = autoregressive_parameters(recipe());
  const AutoregressiveModel model(*backend, parameters, config);
  const PhotoFeatures features{HostTensor(DType::f32, {2, 5, 8}), HostTensor(DType::f32, {2, 8})};
  const AutoregressiveObjective objective(*backend, model, features, {{0, {0, 1}}}, captions, /*prompt=*/3,
                                          {.captions_per_photo = 2, .seed = 1});
  const auto prepared = objective.prepare(std::vector<Sample>{{0, 0}});
  const auto& batch = dynamic_cast<const AutoregressiveBatch&>(*prepared);
  const auto ids = batch.ids.values<std::int64_t>(), targets = batch.targets.values<std::int64_t>();
  // Which of the two captions comes first depends on the draw.
  const std::size_t at = ids[3] == 10 ? 0 : 9, other = 9 - at;
  EXPECT_EQ(std::vector(ids.begin() + at, ids.begin() + at + 9),
            (std::vector<std::int64_t>{2, 6, 9, 10, 7, 3, 0, 0, 0}));
  EXPECT_EQ(std::vector(targets.begin() + at, targets.begin() + at + 9),
            (std::vector<std::int64_t>{-1, -1, -1, 10, 7, 3, -1, -1, -1}));
  EXPECT_EQ(std::vector(ids.begin() + other, ids.begin() + other + 9),
            (std::vector<std::int64_t>{2, 6, 9, 6, 7, 6, 8, 6, 3}));
}

}  // namespace
}  // namespace capdiff::test
