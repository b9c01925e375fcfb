#include "tests/support/own_clip.h"

#include <nlohmann/json.hpp>

#include "capdiff/base/files.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/text/vocabulary.h"

namespace capdiff::test {

ClipConfig own_clip_config() {
  ClipConfig config;
  config.embed = 6;
  config.activation = Activation::gelu;
  config.init_std = 0.3f;
  config.encoder = ConvVitConfig{.image_size = 16,
                                 .stages = {{.channels = 4, .norm = false}, {.channels = 8, .blocks = 1}},
                                 .depth = 1,
                                 .heads = 2,
                                 .mlp = 16,
                                 .init_std = 0.3f};
  config.text = {.tokens = ClipTokens::wordpiece,
                 .vocab_size = static_cast<std::int64_t>(own_clip_vocabulary().size()),
                 .length = 12,
                 .width = 10,
                 .depth = 2,
                 .heads = 2,
                 .mlp = 14};
  return config;
}

std::vector<std::string> own_clip_vocabulary() {
  return {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".",   "a",     "the", "dog",
          "two",   "man",   "horse", "beach", "on",     "red", "green", "##s", "picture"};
}

void write_own_clip(const std::filesystem::path& folder, std::uint64_t seed) {
  const ClipConfig config = own_clip_config();
  ParameterStore wanted;
  wanted.initialise_missing(seed);
  const auto backend = make_onednn_backend({});
  EncoderTower(*backend, Scope(wanted) / "visual", config);
  ClipTextTower(*backend, Scope(wanted), config);
  std::map<std::string, HostTensor> weights;
  const std::map<std::string, Shape> shapes = wanted.used();
  for (const auto& [name, shape] : shapes) weights.emplace(name, wanted.get(name, shape, Init::normal(0.3f)).value);
  std::filesystem::create_directories(folder);
  write_safetensors(folder / "model.safetensors", weights);
  Vocabulary(own_clip_vocabulary(), "").save(folder / "vocab.txt");
  Preprocessor preprocessor;
  preprocessor.size = static_cast<int>(config.image_size());
  write_file_atomically(folder / "preprocessor_config.json", to_json(preprocessor).dump());
  write_file_atomically(folder / "config.json", config.to_json().dump());
}

}  // namespace capdiff::test
