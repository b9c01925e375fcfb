#include "tests/support/tiny_model.h"

#include "capdiff/base/files.h"
#include "capdiff/captioners/autoregressive_model.h"
#include "capdiff/captioners/prefix_model.h"
#include "capdiff/evaluation/ladic_golden.h"
#include "capdiff/text/word_vocabulary.h"

namespace capdiff::test {

void write_tiny_model(const std::filesystem::path& folder) {
  const std::filesystem::path source = std::filesystem::path(CAPDIFF_SOURCE_DIR) / "tests/data/ladic_tiny";
  const LadicGolden golden(source);
  const LadicConfig config = golden.config(Profile::paper);
  std::filesystem::create_directories(folder);
  for (const char* name : {"model.safetensors", "vocab.txt"})
    std::filesystem::copy_file(source / name, folder / name, std::filesystem::copy_options::overwrite_existing);
  const ParameterStore parameters = golden.parameters();
  const Shape width{config.text.bert.hidden};
  write_safetensors(folder / "statistics.safetensors",
                    {{"mean", parameters.get("statistics.mean", width, Init::zeros()).value},
                     {"std", parameters.get("statistics.std", width, Init::ones()).value}});
  write_file_atomically(folder / "config.json", config.to_json().dump(2));
  write_file_atomically(folder / "scheduler_config.json", config.scheduler_to_json().dump(2));
  write_file_atomically(folder / "preprocessor_config.json", to_json(golden.preprocessor()).dump(2));
  write_file_atomically(folder / "generation_config.json", R"({"steps": 5, "guidance": 1.0, "seed": 7})");
}

void write_tiny_prefix_model(const std::filesystem::path& folder) {
  const WordVocabulary vocabulary(
      {"START", "END", "UNK", "PAD", "a", "man", "rides", "horse", "on", "the", "beach", "dog", "runs", "two", "red"},
      "tiny");
  PrefixConfig config = PrefixConfig::of(Profile::paper);
  config.length = 10;
  config.clip.embed = 12;
  config.clip.image = {.image_size = 32, .patch = 16, .width = 16, .depth = 1, .heads = 2, .mlp = 32};
  config.clip.text = {.vocab_size = 20, .length = 8, .width = 16, .depth = 1, .heads = 2, .mlp = 32};
  config.text = {.vocab_size = vocabulary.size(), .width = 6};
  config.null_image = true;
  config.denoiser.latent = 6;
  config.denoiser.hidden = 16;
  config.denoiser.layers = 2;
  config.denoiser.heads = 2;
  config.denoiser.intermediate = 32;
  config.denoiser.max_position = 12;
  config.denoiser.time_channels = 8;
  config.denoiser.mapper = {.feature = 12, .prefix = 3, .hidden = 16, .mlp_width = 24};

  ParameterStore parameters;
  parameters.initialise_missing(11);
  const auto backend = make_onednn_backend({});
  const PrefixModel model(*backend, parameters, config, /*with_image_tower=*/true);
  std::map<std::string, HostTensor> weights;
  for (const auto& [name, shape] : parameters.used())
    weights.emplace(name, parameters.get(name, shape, Init::normal(0.3f)).value);
  std::filesystem::create_directories(folder);
  write_safetensors(folder / "model.safetensors", weights);
  vocabulary.save(folder / "vocab.txt");
  Preprocessor preprocessor;
  preprocessor.size = static_cast<int>(config.clip.image.image_size);
  write_file_atomically(folder / "config.json", config.to_json().dump(2));
  write_file_atomically(folder / "scheduler_config.json", config.scheduler_to_json().dump(2));
  write_file_atomically(folder / "preprocessor_config.json", to_json(preprocessor).dump(2));
  write_file_atomically(folder / "generation_config.json", R"({"steps": 6, "seed": 7})");
}

void write_tiny_autoregressive_model(const std::filesystem::path& folder) {
  const Vocabulary vocabulary(
      {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".",   "a",   "picture", "of",  "man",   "rides",
       "horse", "on",    "the",   "beach", "dog",    "run", "##s", "two",     "red", "[DEC]", "[ENC]"},
      "tiny");
  AutoregressiveConfig config;
  config.image_encoder =
      VisionTransformerConfig{.image_size = 32, .patch = 16, .width = 16, .depth = 1, .heads = 2, .mlp = 32};
  config.text.bert = {.vocab_size = vocabulary.size(),
                      .hidden = 16,
                      .layers = 2,
                      .heads = 2,
                      .intermediate = 32,
                      .max_position = 24,
                      .type_vocab = 0};
  config.text.encoder_width = 16;
  config.begin = "[DEC]";
  config.prompt = "a picture of ";
  config.length = 16;

  ParameterStore parameters;
  parameters.initialise_missing(13);
  const auto backend = make_onednn_backend({});
  const AutoregressiveModel model(*backend, parameters, config);
  std::map<std::string, HostTensor> weights;
  for (const auto& [name, shape] : parameters.used())
    weights.emplace(name, parameters.get(name, shape, Init::normal(0.4f)).value);
  std::filesystem::create_directories(folder);
  write_safetensors(folder / "model.safetensors", weights);
  vocabulary.save(folder / "vocab.txt");
  Preprocessor preprocessor;
  preprocessor.size = 32;
  write_file_atomically(folder / "config.json", config.to_json().dump(2));
  write_file_atomically(folder / "preprocessor_config.json", to_json(preprocessor).dump(2));
  write_file_atomically(folder / "generation_config.json", R"({"left_to_right": {"max_length": 10}, "seed": 7})");
}

}  // namespace capdiff::test
