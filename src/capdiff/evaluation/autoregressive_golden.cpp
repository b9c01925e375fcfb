#include "capdiff/evaluation/autoregressive_golden.h"

#include <algorithm>

#include "capdiff/formats/json_reader.h"

namespace capdiff {
namespace {

// Of a tensor's largest number.
constexpr double kDecoderForward = 1e-5;
constexpr double kDecoderGradients = 1e-4;
/// The gradient of a key's bias is 0, and what float32 makes of it is noise.
constexpr double kDecoderKeyBias = 1e-6;

}  // namespace

AutoregressiveGolden::AutoregressiveGolden(const std::filesystem::path& folder)
    : folder_(folder),
      tensors_(SafetensorsFile::open(folder / "golden.safetensors")),
      golden_(read_json(folder / "golden.json")) {}

Tolerance AutoregressiveGolden::tolerance(const std::string& name) const {
  if (name.starts_with("grad.") && name.ends_with(".self.key.bias")) return {kDecoderKeyBias};
  const double magnitude = largest_magnitude(tensors_.tensor(name));
  return {(name.starts_with("grad.") ? kDecoderGradients : kDecoderForward) * magnitude};
}

CaptionDecoderConfig AutoregressiveGolden::config() const {
  const nlohmann::json& sizes = golden_.at("config");
  CaptionDecoderConfig config;
  config.bert.vocab_size = sizes.at("vocab_size");
  config.bert.hidden = sizes.at("hidden_size");
  config.bert.layers = sizes.at("num_hidden_layers");
  config.bert.heads = sizes.at("num_attention_heads");
  config.bert.intermediate = sizes.at("intermediate_size");
  config.bert.max_position = sizes.at("max_position_embeddings");
  config.encoder_width = sizes.at("encoder_width");
  config.tied = golden_.at("tied");
  return config;
}

HostTensor golden_targets(const HostTensor& labels) {
  HostTensor targets(DType::i64, labels.shape());
  std::ranges::transform(labels.values<std::int64_t>(), targets.mutable_values<std::int64_t>().begin(),
                         [](std::int64_t label) { return label == -100 ? -1 : label; });
  return targets;
}

}  // namespace capdiff
