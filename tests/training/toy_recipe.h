#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "capdiff/formats/safetensors.h"
#include "tests/image/pictures.h"

namespace capdiff::test {

/// Every stage of training, each so small that it takes less than a second.
inline constexpr const char* kToyRecipe = R"(
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
[validation]
every = 4
steps = 2
)";

/// Six pictures of two colours with captions that name them, and a teacher of one convolution.
inline void write_toy_data(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder / "images");
  std::filesystem::create_directories(folder / "teacher");
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

}  // namespace capdiff::test
