#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "capdiff/base/files.h"
#include "capdiff/captioners/captioner.h"
#include "capdiff/image/decode.h"
#include "capdiff/training/stages.h"
#include "tests/image/pictures.h"
#include "tests/support/temporary_folder.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecipe = R"(
name = "toy"
seed = 3
threads = 1
[data]
dataset = "dataset.json"
images = "images"
splits = ["train"]
teacher = "teacher"
[model]
model_type = "ladic"
profile = "paper"
length = 10
[model.image_encoder]
type = "conv-vit"
image_size = 16
stages = [{ channels = 4, blocks = 0, norm = false }, { channels = 8, blocks = 1 }]
depth = 1
heads = 2
mlp = 16
[model.text]
vocab_size = 40
hidden = 12
heads = 2
intermediate = 24
max_position = 16
encoder_layers = 1
decoder_layers = 1
[model.diffuser]
hidden = 24
layers = 1
heads = 2
intermediate = 32
max_position = 16
[scheduler]
schedule = "cosine"
noise_factor = 2.0
sample_noise_factor = 2.0
[generation]
steps = 4
[vocabulary]
size = 40
min_pair_count = 1
[language_model]
steps = 8
batch = 4
learning_rate = 1e-2
[statistics]
captions = 12
[image_encoder]
steps = 6
batch = 4
learning_rate = 1e-2
ema = 0.9
components = 5
teacher_side = 32
held_out = 2
[ladic]
steps = 6
batch = 2
captions_per_photo = 2
learning_rate = 1e-2
ema = 0.9
train_image_encoder = true
frozen_image_encoder_steps = 2
)";

/// Six pictures of two colours with captions that name them, and a teacher of one convolution.
void write_data(const fs::path& folder) {
  fs::create_directories(folder / "images");
  fs::create_directories(folder / "teacher");
  nlohmann::json dataset{{"dataset", "toy"}, {"images", nlohmann::json::array()}};
  for (int i = 0; i < 6; ++i) {
    Image image(24 + i, 20);
    for (std::size_t p = 0; p < image.rgb.size(); ++p)
      image.rgb[p] = static_cast<std::uint8_t>(p % 3 == static_cast<std::size_t>(i % 2) ? 220 - 9 * i : 30);
    const std::string name = std::to_string(i) + ".jpg";
    const Bytes bytes = encode_jpeg(image);
    std::ofstream(folder / "images" / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    const char* colour = i % 2 == 0 ? "red" : "green";
    dataset["images"].push_back({{"imgid", i},
                                 {"filename", name},
                                 {"split", i == 5 ? "val" : "train"},
                                 {"sentences",
                                  {{{"raw", std::string("a ") + colour + " picture ."}},
                                   {{"raw", std::string("something ") + colour + " on a wall"}}}}});
  }
  std::ofstream(folder / "dataset.json") << dataset;
  std::ofstream(folder / "teacher" / "toy.json") << R"({"ops": [
    {"op": "Conv", "in": ["input"], "out": "a", "weight": "c", "stride": 8, "groups": 1, "pads_tlbr": [0, 0, 0, 0]},
    {"op": "GlobalAveragePool", "in": ["a"], "out": "b"}]})";
  HostTensor weight(DType::f32, {6, 3, 8, 8});
  for (std::size_t i = 0; i < weight.values<float>().size(); ++i)
    weight.mutable_values<float>()[i] = static_cast<float>(i % 13) / 13.0f - 0.5f;
  write_safetensors(folder / "teacher" / "toy.safetensors",
                    {{"c.weight", weight}, {"c.bias", HostTensor(DType::f32, {6})}});
}

TEST(RecipeRun, TrainsEveryStageAndLeavesAModelThatCaptions) {
  const TemporaryFolder folder;
  write_data(folder.path());
  std::ofstream(folder.path() / "toy.toml") << kRecipe;
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

  // Another run goes on from the model: its sizes, vocabulary and statistics, and weights that have moved a little.
  std::ofstream(folder.path() / "fine.toml") << R"(
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
  )";
  const fs::path tuned = folder.path() / "tuned";
  run_recipe(Recipe::load(folder.path() / "fine.toml",
                          std::vector<std::string>{"data.root=" + folder.path().string(), "output=" + tuned.string(),
                                                   "from.model=" + (output / "model").string()}),
             {});
  for (const char* same : {"config.json", "vocab.txt", "scheduler_config.json"})
    EXPECT_EQ(read_file(tuned / "model" / same, 1 << 20), read_file(output / "model" / same, 1 << 20)) << same;
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
