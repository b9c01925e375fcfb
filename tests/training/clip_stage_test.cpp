#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "capdiff/base/files.h"
#include "capdiff/image/decode.h"
#include "capdiff/models/clip_encoder.h"
#include "capdiff/models/cosines.h"
#include "capdiff/training/stages.h"
#include "tests/support/command.h"
#include "tests/support/expect_error.h"
#include "tests/support/own_clip.h"
#include "tests/support/temporary_folder.h"
#include "tests/training/toy_recipe.h"

namespace capdiff::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kToyClip = R"(
seed = 3
threads = 1
[data]
dataset = "dataset.json"
images = "images"
splits = ["train"]
[model]
model_type = "clip"
embed_dim = 8
activation = "gelu"
init_std = 0.2
[model.image_encoder]
type = "conv-vit"
image_size = 16
stages = [{ channels = 4, blocks = 0, norm = false }, { channels = 8, blocks = 1 }]
depth = 1
heads = 2
mlp = 16
init_std = 0.3
[model.text_encoder]
tokenizer = "wordpiece"
vocab_size = 40
length = 12
width = 12
depth = 1
heads = 2
mlp = 24
[validation]
split = "train"
images = 2
[vocabulary]
size = 40
min_pair_count = 1
[clip]
steps = 60
batch = 4
learning_rate = 5e-3
beta2 = 0.98
gradient_clip = 1.0
train_image_encoder = true
image_encoder_rate = 0.2
crop_scale = [0.8, 1.0]
checkpoint_every = 20
)";

class ClipStageTest : public testing::Test {
 protected:
  ClipStageTest() { write_toy_data(folder_.path()); }

  void run(std::vector<std::string> overrides = {}) const {
    overrides.insert(overrides.begin(), {"data.root=" + folder_.path().string(), "output=" + output().string()});
    const fs::path path = folder_.write("clip.toml", kToyClip);
    run_recipe(Recipe::load(path, overrides), {});
  }
  fs::path output() const { return folder_.path() / "run"; }

  TemporaryFolder folder_;
};

TEST_F(ClipStageTest, LearnsWhichCaptionsBelongToWhichPictures) {
  run();
  const auto backend = make_onednn_backend({});
  const ClipEncoder clip(ModelFolder::open(output() / "clip"), *backend);
  const std::vector<std::string> texts{"a red picture .", "a green picture ."};
  const HostTensor captions = clip.texts(texts).features;
  for (int i = 0; i < 6; ++i) {  // the last of them it has not seen
    const Image picture = read_image(folder_.path() / "images" / (std::to_string(i) + ".jpg"));
    const HostTensor near = cosines(clip.images(std::span(&picture, 1)), captions);
    const std::size_t right = static_cast<std::size_t>(i % 2);
    EXPECT_GT(near.values<float>()[right], near.values<float>()[1 - right]) << i;
  }

  const SafetensorsFile weights = SafetensorsFile::open(output() / "clip" / "model.safetensors");
  EXPECT_EQ(weights.entries().at("visual.encoder.norm.weight").dtype, DType::bf16);
  EXPECT_TRUE(weights.contains("logit_scale"));
  const nlohmann::json scores = nlohmann::json::parse(read_text(output() / "clip" / "validation.json", 1 << 20));
  EXPECT_EQ(scores.at("mean_recall"), 1.0);  // one of the two is red, the other green
  std::istringstream lines(read_text(output() / "metrics.jsonl", 1 << 20));
  int validations = 0;
  for (std::string line; std::getline(lines, line);)
    validations += nlohmann::json::parse(line).contains("validation") ? 1 : 0;
  EXPECT_EQ(validations, 3);
  const CommandResult info = run_capdiff({"info", (output() / "clip").string()});
  EXPECT_EQ(info.exit_code, 0) << info.errors;
  EXPECT_NE(info.output.find("visual.proj"), std::string::npos);
}

TEST_F(ClipStageTest, StartsFromAnImageEncoderAndLeavesItAloneWhereItIsFrozen) {
  // The same encoder as that of another CLIP, under the name that captioners give it.
  const fs::path from = folder_.path() / "from";
  write_own_clip(from);
  const SafetensorsFile file = SafetensorsFile::open(from / "model.safetensors");
  constexpr std::string_view kName = "visual.encoder.";
  std::map<std::string, HostTensor> renamed;
  for (const std::string& name : file.names())
    if (name.starts_with(kName)) renamed.emplace("visual_encoder." + name.substr(kName.size()), file.tensor(name));
  write_safetensors(from / "image_encoder.safetensors", renamed);
  run({"from.image_encoder=" + from.string(), "clip.train_image_encoder=false"});
  const SafetensorsFile trained = SafetensorsFile::open(output() / "clip" / "model.safetensors");
  for (const std::string& name : file.names()) {
    if (!name.starts_with(kName)) continue;
    EXPECT_TRUE(std::ranges::equal(trained.tensor(name).bytes(), file.tensor(name).to(DType::bf16).bytes())) << name;
  }
}

TEST_F(ClipStageTest, RefusesWhatItCannotTrain) {
  const auto refused = [&](const std::string& override, const std::string& message) {
    expect_error(ErrorCode::usage, message, [&] { run({override}); });
  };
  refused("clip.cache_photos=true", "does not learn");
  refused("model.text_encoder.tokenizer=clip-bpe", "wordpiece");
  refused("clip.word_dorp=0.1", "word_dorp");
  EXPECT_FALSE(fs::exists(output() / "clip"));
}

}  // namespace
}  // namespace capdiff::test
