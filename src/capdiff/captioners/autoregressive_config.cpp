#include "capdiff/captioners/autoregressive_config.h"

#include <nlohmann/json.hpp>

#include "capdiff/models/size_limits.h"

namespace capdiff {
namespace {

CaptionDecoderConfig caption_decoder_config(const JsonReader& json) {
  CaptionDecoderConfig config;
  BertConfig& bert = config.bert;
  bert.vocab_size = json.get_int("vocab_size", 1, kMaxVocabulary);
  bert.hidden = json.get_int("hidden", 1, kMaxWidth);
  bert.layers = json.get_int("layers", 1, kMaxDepth);
  bert.heads = json.get_int("heads", 1, bert.hidden);
  require_divisible(json, bert.hidden, bert.heads);
  bert.intermediate = json.get_int("intermediate", 1, kMaxWidth);
  bert.max_position = json.get_int("max_position", 2, kMaxPositions);
  bert.eps = static_cast<float>(json.get_number("eps", 0.0, 1.0, bert.eps));
  bert.dropout = static_cast<float>(json.get_number("dropout", 0.0, 0.9, bert.dropout));
  bert.init_std = static_cast<float>(json.get_number("init_std", 0.0, 1.0, bert.init_std));
  config.tied = json.get_bool("tied", config.tied);
  json.reject_unknown_keys();
  return config;
}

}  // namespace

AutoregressiveConfig AutoregressiveConfig::from_json(const JsonReader& json) {
  json.get_choice("model_type", {"autoregressive"});
  AutoregressiveConfig config;
  config.image_encoder = image_encoder_config(json.get_object("image_encoder"));
  config.text = caption_decoder_config(json.get_object("text"));
  config.text.encoder_width = token_width(config.image_encoder);
  config.begin = json.get_string("begin", config.begin);
  config.prompt = json.get_string("prompt", config.prompt);
  const std::int64_t positions = config.text.bert.max_position;
  config.length = json.get_int("length", 3, positions, std::min(config.length, positions));
  config.max_words = json.get_int("max_words", 1, kMaxPositions, config.max_words);
  config.label_smoothing = json.get_number("label_smoothing", 0.0, 0.99, config.label_smoothing);
  json.reject_unknown_keys();
  return config;
}

nlohmann::json AutoregressiveConfig::to_json() const {
  const BertConfig& bert = text.bert;
  return {{"model_type", "autoregressive"},
          {"image_encoder", capdiff::to_json(image_encoder)},
          {"text",
           {{"vocab_size", bert.vocab_size},
            {"hidden", bert.hidden},
            {"layers", bert.layers},
            {"heads", bert.heads},
            {"intermediate", bert.intermediate},
            {"max_position", bert.max_position},
            {"eps", bert.eps},
            {"dropout", bert.dropout},
            {"init_std", bert.init_std},
            {"tied", text.tied}}},
          {"begin", begin},
          {"prompt", prompt},
          {"length", length},
          {"max_words", max_words},
          {"label_smoothing", label_smoothing}};
}

GenerationOptions AutoregressiveConfig::generation() const {
  GenerationOptions options;
  options.left_to_right = LeftToRight{.max_length = length - 2};
  return options;
}

}  // namespace capdiff
