#include "capdiff/captioners/import_blip.h"

#include <spdlog/spdlog.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/captioners/autoregressive_config.h"
#include "capdiff/captioners/checkpoint_import.h"
#include "capdiff/captioners/position_grid.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/text/vocabulary.h"

namespace capdiff {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVision = "vision_model";    // Hugging Face's name
constexpr const char* kVisual = "visual_encoder";  // Salesforce's, and ours
constexpr const char* kText = "text_decoder";

/// The files to read, where the weights may be a folder.
struct BlipSources {
  explicit BlipSources(const BlipImport& from)
      : weights(find_weights(from.weights)), vocabulary(from.vocabulary), config(from.config) {
    if (!fs::is_directory(from.weights)) return;
    if (!vocabulary) vocabulary = find_file(from.weights, {"vocab.txt"});
    if (!config) config = find_file(from.weights, {"config.json"});
  }

  fs::path weights;
  std::optional<fs::path> vocabulary, config;
};

/// `image_encoder_sizes` of Hugging Face's layout.
VisionTransformerConfig vision_model_sizes(const CheckpointImport& import) {
  const std::string embeddings = std::string(kVision) + ".embeddings.",
                    layers = std::string(kVision) + ".encoder.layers";
  VisionTransformerConfig config;
  config.width = import.size(embeddings + "class_embedding", 3, 2);
  config.patch = import.size(embeddings + "patch_embedding.weight", 4, 3);
  const std::int64_t patches = import.size(embeddings + "position_embedding", 3, 1) - 1;
  const auto side = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(patches))));
  if (side < 1 || side * side != patches)
    fail(ErrorCode::invalid_model,
         "{}: tensor \"{}position_embedding\" has {} positions; expected one more than a square", import.source(),
         embeddings, patches + 1);
  config.image_size = side * config.patch;
  config.depth = import.count(layers);
  config.mlp = import.size(layers + ".0.mlp.fc1.weight", 2, 0);
  config.eps = 1e-5f;
  return config;
}

void import_vision_model(CheckpointImport& import, const VisionTransformerConfig& config) {
  const std::int64_t width = config.width, side = config.image_size / config.patch;
  const std::string embeddings = std::string(kVision) + ".embeddings.", to = kVisual;
  import.keep(embeddings + "class_embedding", {1, 1, width}, to + ".cls_token");
  import.keep(embeddings + "position_embedding", {1, 1 + side * side, width}, to + ".pos_embed");
  import.keep(embeddings + "patch_embedding.weight", {width, 3, config.patch, config.patch},
              to + ".patch_embed.proj.weight");
  import.keep(embeddings + "patch_embedding.bias", {width}, to + ".patch_embed.proj.bias");
  for (std::int64_t i = 0; i < config.depth; ++i) {
    const auto part = [&](const char* from, const char* as) {
      return ImportScope(import, fmt::format("{}.encoder.layers.{}.{}", kVision, i, from),
                         fmt::format("{}.blocks.{}.{}", kVisual, i, as));
    };
    part("layer_norm1", "norm1").norm(width);
    part("self_attn.qkv", "attn.qkv").linear(width, 3 * width);
    part("self_attn.projection", "attn.proj").linear(width, width);
    part("layer_norm2", "norm2").norm(width);
    part("mlp.fc1", "mlp.fc1").linear(width, config.mlp);
    part("mlp.fc2", "mlp.fc2").linear(config.mlp, width);
  }
  ImportScope(import, std::string(kVision) + ".post_layernorm", to + ".norm").norm(width);
}

/// The image encoder as the weights have it, and then for pictures of the side that was asked for.
VisionTransformerConfig import_image(CheckpointImport& import, bool hugging_face, const BlipImport& from,
                                     const std::optional<JsonReader>& json) {
  VisionTransformerConfig config = hugging_face ? vision_model_sizes(import) : image_encoder_sizes(import, kVisual);
  const auto section = find_section(json, {"image_encoder", "vit", "vision_config"});
  config.heads =
      choose_heads(from.image_heads, section, {"heads", "num_attention_heads"}, 12, config.width, "--image-heads");
  config.eps = choose_eps(section, config.eps);
  require_same_sizes(section, import.source(),
                     {{"hidden_size", config.width},
                      {"num_hidden_layers", config.depth},
                      {"intermediate_size", config.mlp},
                      {"patch_size", config.patch},
                      {"image_size", config.image_size}});
  if (hugging_face)
    import_vision_model(import, config);
  else
    import_image_encoder({import, kVisual, kVisual}, config);
  if (!from.image_size || *from.image_size == config.image_size) return config;
  if (*from.image_size % config.patch != 0)
    fail(ErrorCode::usage, "--image-size {}: not a multiple of the patches' side, {}", *from.image_size, config.patch);
  config.image_size = *from.image_size;
  const std::int64_t side = config.image_size / config.patch;
  const auto resize = [side](const HostTensor& positions) { return resized_positions(positions, side); };
  import.convert_kept(std::string(kVisual) + ".pos_embed", {1, 1 + side * side, config.width}, resize);
  return config;
}

/// What begins captions, and how the decoder computes.
struct BlipText {
  CaptionDecoderConfig decoder;
  std::optional<std::int64_t> begin, end;  ///< ids
};

BlipText text_config(const CheckpointImport& import, const BlipImport& from, std::int64_t encoder_width,
                     const std::optional<JsonReader>& json) {
  const std::string bert_path = std::string(kText) + ".bert", words = bert_path + ".embeddings.word_embeddings.weight",
                    head = std::string(kText) + ".cls.predictions.decoder.weight";
  BlipText text;
  BertConfig& bert = text.decoder.bert;
  bert.vocab_size = import.size(words, 2, 0);
  bert.hidden = import.size(words, 2, 1);
  bert.layers = import.count(bert_path + ".encoder.layer");
  bert.intermediate = import.size(bert_path + ".encoder.layer.0.intermediate.dense.weight", 2, 0);
  bert.max_position = import.size(bert_path + ".embeddings.position_embeddings.weight", 2, 0);
  text.decoder.encoder_width = encoder_width;
  text.decoder.tied = !import.contains(head) || import.same(head, words);
  const auto section = find_section(json, {"text", "text_config"});
  bert.heads =
      choose_heads(from.text_heads, section, {"heads", "num_attention_heads"}, 12, bert.hidden, "--text-heads");
  bert.eps = choose_eps(section, bert.eps);
  require_same_sizes(section, import.source(),
                     {{"vocab_size", bert.vocab_size},
                      {"hidden_size", bert.hidden},
                      {"num_hidden_layers", bert.layers},
                      {"intermediate_size", bert.intermediate},
                      {"max_position_embeddings", bert.max_position}});
  for (const auto& [key, id] : {std::pair("bos_token_id", &text.begin), {"sep_token_id", &text.end}})
    if (section && section->has(key)) *id = section->get_int(key, 0, bert.vocab_size - 1);
  return text;
}

void import_decoder(CheckpointImport& import, const CaptionDecoderConfig& config) {
  const BertConfig& bert = config.bert;
  const ImportScope text(import, kText, kText), embeddings = text / "bert" / "embeddings",
                                                head = text / "cls" / "predictions";
  embeddings.position_ids();
  (embeddings / "word_embeddings").tensor("weight", {bert.vocab_size, bert.hidden});
  (embeddings / "position_embeddings").tensor("weight", {bert.max_position, bert.hidden});
  (embeddings / "LayerNorm").norm(bert.hidden);
  for (std::int64_t i = 0; i < bert.layers; ++i)
    import_bert_layer(text / "bert" / "encoder" / "layer" / i, bert.hidden, bert.intermediate, config.encoder_width);
  (head / "transform" / "dense").linear(bert.hidden, bert.hidden);
  (head / "transform" / "LayerNorm").norm(bert.hidden);
  const std::string path = std::string(kText) + ".cls.predictions.";
  // The head's bias has two names, and tied weights may be stored once only.
  const bool has_bias = import.contains(path + "bias");
  import.keep(path + (has_bias ? "bias" : "decoder.bias"), {bert.vocab_size}, path + "bias");
  if (has_bias) import.drop(path + "decoder.bias", {bert.vocab_size});
  if (config.tied)
    import.drop(path + "decoder.weight", {bert.vocab_size, bert.hidden});
  else
    (head / "decoder").tensor("weight", {bert.vocab_size, bert.hidden});
}

/// BERT's tokens, and BLIP's behind them where the file does not have those.
Vocabulary blip_vocabulary(const fs::path& path, const std::string& weights, std::int64_t size) {
  std::vector<std::string> tokens = read_vocabulary_lines(path);
  if (static_cast<std::int64_t>(tokens.size()) + 2 == size)
    for (const char* token : {"[DEC]", "[ENC]"}) tokens.emplace_back(token);
  if (static_cast<std::int64_t>(tokens.size()) != size)
    fail(ErrorCode::invalid_model, "{}: {} tokens, but the weights in {} are for {}", path.string(), tokens.size(),
         weights, size);
  return {std::move(tokens), path.string()};
}

void write_image_encoder(const CheckpointImport& import, const VisionTransformerConfig& config, DType dtype,
                         const fs::path& folder) {
  AtomicFolder out(folder);
  import.write(out.file("image_encoder.safetensors"), dtype);
  write_json(out.file("config.json"), {{"model_type", "vit"}, {"image_encoder", to_json(ImageEncoderConfig(config))}});
  out.commit();
}

}  // namespace

void import_blip(const BlipImport& from, const fs::path& folder) {
  const BlipSources sources(from);
  WeightsFile weights = WeightsFile::open(sources.weights);
  const bool hugging_face = weights.contains(std::string(kVision) + ".embeddings.class_embedding");
  const bool on_top = hugging_face || weights.contains(std::string(kVisual) + ".cls_token");
  CheckpointImport import(std::move(weights), on_top ? "" : "model.");
  const std::optional<JsonReader> json =
      sources.config ? std::optional(JsonReader::open(*sources.config, ErrorCode::invalid_model)) : std::nullopt;
  const VisionTransformerConfig image = import_image(import, hugging_face, from, json);
  import.require_nothing_else(std::string(hugging_face ? kVision : kVisual) + ".");
  if (!sources.vocabulary || !import.contains(std::string(kText) + ".bert.embeddings.word_embeddings.weight")) {
    spdlog::info("{}: of it the image encoder alone; captions need a text decoder, and --vocab with vocab.txt of BERT",
                 import.source());
    return write_image_encoder(import, image, from.dtype, folder);
  }

  const BlipText text = text_config(import, from, image.width, json);
  import_decoder(import, text.decoder);
  import.require_nothing_else(std::string(kText) + ".");
  const Vocabulary vocabulary = blip_vocabulary(*sources.vocabulary, import.source(), text.decoder.bert.vocab_size);
  if (text.end.value_or(vocabulary.sep()) != vocabulary.sep())
    fail(ErrorCode::unsupported, "{}: captions that end with token {} rather than [SEP]", json->source(), *text.end);
  AutoregressiveConfig config;
  config.image_encoder = image;
  config.text = text.decoder;
  config.begin = text.begin ? vocabulary.token(*text.begin) : "[DEC]";
  config.prompt = "a picture of ";
  config.length = std::min<std::int64_t>(config.length, text.decoder.bert.max_position);
  // As the published evaluation has them: 20 tokens at most, of which four are given.
  GenerationOptions generation;
  generation.left_to_right = LeftToRight{.beams = 3, .min_length = 1, .max_length = 16};
  Preprocessor preprocessor;
  preprocessor.size = static_cast<int>(image.image_size);

  AtomicFolder out(folder);
  import.write(out.file("model.safetensors"), from.dtype);
  vocabulary.save(out.file("vocab.txt"));
  write_json(out.file("config.json"), config.to_json());
  write_json(out.file("preprocessor_config.json"), to_json(preprocessor));
  write_json(out.file("generation_config.json"), to_json(generation));
  out.commit();
}

}  // namespace capdiff
