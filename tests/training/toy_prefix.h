#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "capdiff/backends/torch/torch_backend.h"
#include "capdiff/captioners/prefix_model.h"
#include "capdiff/training/prefix_recipe.h"

namespace capdiff::test {

/// A Prefix-diffusion that takes less than a second to train, without vocabulary and CLIP.
inline constexpr const char* kToyPrefixRecipe = R"(
name = "toy-prefix"
seed = 3
threads = 1
[data]
dataset = "dataset.json"
images = "images"
splits = ["train"]
[model]
model_type = "prefix-diffusion"
profile = "paper"
length = 8
[model.text]
width = 6
[model.denoiser]
hidden = 12
layers = 2
heads = 2
intermediate = 24
max_position = 16
time_channels = 8
[model.mapper]
prefix = 2
width = 10
[generation]
steps = 3
[word_vocabulary]
min_count = 1
[prefix_diffusion]
steps = 6
batch = 4
learning_rate = 1e-2
ema = 0.9
image_drop = 0.25
[validation]
every = 4
)";

/// The sizes of that recipe.
inline PrefixConfig toy_prefix_config() {
  PrefixConfig config = PrefixConfig::of(Profile::paper);
  config.length = 8;
  config.text.width = config.denoiser.latent = 6;
  config.denoiser.hidden = 12;
  config.denoiser.layers = config.denoiser.heads = 2;
  config.denoiser.intermediate = 24;
  config.denoiser.max_position = 16;
  config.denoiser.time_channels = 8;
  config.denoiser.mapper.prefix = 2;
  config.denoiser.mapper.hidden = 12;
  config.denoiser.mapper.mlp_width = 10;
  config.denoiser.init_std = config.denoiser.mapper.init_std = 0.5f;  // or pictures would hardly make a difference
  return config;
}

inline ParameterStore random_parameters() {
  ParameterStore parameters;
  parameters.initialise_missing(7);
  return parameters;
}

/// A model folder of CLIP's image tower, for pictures of 16 pixels.
inline void write_toy_clip(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  ClipConfig config;
  config.embed = 5;
  config.image = {.image_size = 16, .patch = 8, .width = 8, .depth = 1, .heads = 2, .mlp = 16};
  const auto backend = make_torch_backend({});
  const ParameterStore parameters = random_parameters();
  const ClipImageTower tower(*backend, Scope(parameters) / "visual", config);
  write_safetensors(folder / "model.safetensors", clip_weights(backend->state()));
  std::ofstream(folder / "config.json") << config.to_json();
}

}  // namespace capdiff::test
