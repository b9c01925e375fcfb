#include "capdiff/captioners/import_ladic.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/captioners/checkpoint_import.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/text/vocabulary.h"

namespace capdiff {
namespace {

/// "module." where all names begin so, as they do when a checkpoint was saved from several GPUs.
std::string wrapper_prefix(const WeightsFile& file) {
  constexpr std::string_view kModule = "module.";
  const bool wrapped =
      !file.entries().empty() && std::all_of(file.entries().begin(), file.entries().end(),
                                             [&](const auto& e) { return e.first.starts_with(kModule); });
  return std::string(wrapped ? kModule : "");
}

/// The model that the tensors, the JSON file and the options describe.
LadicConfig config_of(const CheckpointImport& import, const LadicImport& from) {
  const std::optional<JsonReader> json =
      from.config ? std::optional(JsonReader::open(*from.config, ErrorCode::invalid_model)) : std::nullopt;
  LadicConfig config = LadicConfig::of(from.profile);

  VisionTransformerConfig image = image_encoder_sizes(import, "visual_encoder");
  const auto image_json = find_section(json, {"image_encoder", "vit"});
  image.heads = choose_heads(from.image_heads, image_json, {"heads"}, 12, image.width, "--image-heads");
  image.eps = choose_eps(image_json, image.eps);
  require_same_sizes(image_json, import.source(),
                     {{"width", image.width},
                      {"depth", image.depth},
                      {"mlp", image.mlp},
                      {"patch", image.patch},
                      {"image_size", image.image_size}});
  config.image_encoder = image;

  BertConfig& bert = config.text.bert;
  bert = bert_sizes(import, "space_encoder.embeddings", "space_encoder.encoder.layer.0");
  config.text.encoder_layers = import.count("space_encoder.encoder.layer");
  const std::int64_t upper = import.count("space_decoder.encoder.layer") - config.text.encoder_layers;
  if (upper < 0)
    fail(ErrorCode::invalid_model, "{}: space_decoder has fewer layers than space_encoder, whose {} it repeats",
         import.source(), config.text.encoder_layers);
  const auto text_json = find_section(json, {"text"});
  config.text.decoder_layers = from.profile == Profile::paper ? upper : 0;
  if (text_json)
    config.text.decoder_layers = text_json->get_int("decoder_layers", 0, upper, config.text.decoder_layers);
  bert.layers = config.text.encoder_layers + config.text.decoder_layers;
  bert.heads = choose_heads(from.text_heads, text_json, {"heads"}, 12, bert.hidden, "--text-heads");
  bert.eps = choose_eps(text_json, bert.eps);
  require_same_sizes(text_json, import.source(),
                     {{"vocab_size", bert.vocab_size},
                      {"hidden", bert.hidden},
                      {"intermediate", bert.intermediate},
                      {"max_position", bert.max_position},
                      {"type_vocab", bert.type_vocab},
                      {"encoder_layers", config.text.encoder_layers}});

  LadicDenoiserConfig& diffuser = config.denoiser;
  diffuser.latent = bert.hidden;
  diffuser.encoder_width = image.width;
  diffuser.max_position = import.size("diffuser.embeddings.position_embeddings.weight", 2, 0);
  diffuser.hidden = import.size("diffuser.embeddings.position_embeddings.weight", 2, 1);
  diffuser.layers = import.count("diffuser.encoder.layer");
  diffuser.intermediate = import.size("diffuser.encoder.layer.0.intermediate.dense.weight", 2, 0);
  diffuser.time_layer_norm = import.contains("time_layer_norm.weight") || import.contains("time_layer_norm.bias");
  const auto diffuser_json = find_section(json, {"diffuser"});
  diffuser.heads = choose_heads(from.diffuser_heads, diffuser_json, {"heads"}, 16, diffuser.hidden, "--diffuser-heads");
  diffuser.eps = choose_eps(diffuser_json, diffuser.eps);
  require_same_sizes(diffuser_json, import.source(),
                     {{"hidden", diffuser.hidden},
                      {"layers", diffuser.layers},
                      {"intermediate", diffuser.intermediate},
                      {"max_position", diffuser.max_position}});

  if (json) config.length = json->get_int("length", 3, diffuser.max_position, config.length);
  if (text_json) config.length = text_json->get_int("length", 3, diffuser.max_position, config.length);
  if (from.length) config.length = *from.length;
  if (config.length < 3 || config.length > std::min(diffuser.max_position, bert.max_position))
    fail(ErrorCode::usage, "captions of {} positions do not fit; the weights in {} have {}", config.length,
         import.source(), std::min(diffuser.max_position, bert.max_position));
  return config;
}

void import_text(CheckpointImport& import, const SplitBertConfig& config) {
  const BertConfig& bert = config.bert;
  const ImportScope encoder(import, "space_encoder", "space_encoder");
  import_bert_embeddings(encoder / "embeddings", bert);
  for (std::int64_t i = 0; i < config.encoder_layers; ++i)
    import_bert_layer(encoder / "encoder" / "layer" / i, bert.hidden, bert.intermediate);
  // Of the decoder only the upper layers are used, and without them none.
  const ImportScope unused(import, "space_decoder", std::nullopt), decoder(import, "space_decoder", "space_decoder");
  import_bert_embeddings(unused / "embeddings", bert);
  import_lm_head(import, "space_decoder.cls.predictions", std::nullopt, bert);
  for (std::int64_t i = 0; i < import.count("space_decoder.encoder.layer"); ++i) {
    const bool used = i >= config.encoder_layers && i < bert.layers;
    import_bert_layer((used ? decoder : unused) / "encoder" / "layer" / i, bert.hidden, bert.intermediate);
  }
  import_lm_head(import, "lm_head.predictions", "lm_head.predictions", bert);
}

void import_diffuser(CheckpointImport& import, const LadicDenoiserConfig& config) {
  const ImportScope diffuser(import, "diffuser", "diffuser");
  import.drop("diffuser.embeddings.word_embeddings.weight", {-1, config.hidden});
  (diffuser / "embeddings").position_ids();
  (diffuser / "embeddings" / "position_embeddings").tensor("weight", {config.max_position, config.hidden});
  (diffuser / "embeddings" / "LayerNorm").norm(config.hidden);
  if (config.hidden != 2 * config.latent) {
    (diffuser / "input_projection").linear(2 * config.latent, config.hidden);
    (diffuser / "output_projection").linear(config.hidden, config.latent);
  }
  for (std::int64_t i = 0; i < config.layers; ++i)
    import_bert_layer(diffuser / "encoder" / "layer" / i, config.hidden, config.intermediate, config.encoder_width);
  if (config.time_layer_norm) ImportScope(import, "time_layer_norm", "time_layer_norm").norm(config.hidden);
}

/// The mean or deviation of the latent space, f32 [width].
HostTensor statistic(const std::filesystem::path& path, const std::string& name, std::int64_t width) {
  const WeightsFile file = WeightsFile::open(path);
  if (!file.contains(name) && file.entries().size() != 1)
    fail(ErrorCode::invalid_model, "{} holds {} tensors; expected one, or one named \"{}\"", file.name(),
         file.entries().size(), name);
  const std::string found = file.contains(name) ? name : file.entries().begin()->first;
  const HostTensor tensor = file.tensor(found);
  if (tensor.shape() != Shape{width})
    fail(ErrorCode::invalid_model, "{}: tensor \"{}\" has shape {}; expected {}", file.name(), found,
         to_string(tensor.shape()), to_string(Shape{width}));
  require_finite(tensor, found, file.name());
  HostTensor values = tensor.to(DType::f32);
  if (name == "std" && std::ranges::any_of(values.values<float>(), [](float value) { return value <= 0.0f; }))
    fail(ErrorCode::invalid_model, "{}: tensor \"{}\" has a deviation that is not positive", file.name(), found);
  return values;
}

Vocabulary vocabulary_of(const std::filesystem::path& path, const std::string& weights, std::int64_t size) {
  Vocabulary vocabulary = Vocabulary::load(path);
  if (vocabulary.size() != size)
    fail(ErrorCode::invalid_model, "{}: {} tokens, but the weights in {} are for {}", path.string(), vocabulary.size(),
         weights, size);
  return vocabulary;
}

}  // namespace

void import_ladic(const LadicImport& from, const std::filesystem::path& folder) {
  WeightsFile weights = WeightsFile::open(from.weights);
  const std::string prefix = wrapper_prefix(weights);
  CheckpointImport import(std::move(weights), prefix);
  const LadicConfig config = config_of(import, from);
  import_image_encoder({import, "visual_encoder", "visual_encoder"},
                       std::get<VisionTransformerConfig>(config.image_encoder));
  import_text(import, config.text);
  import_diffuser(import, config.denoiser);
  import.require_nothing_else();
  const std::int64_t width = config.text.bert.hidden;
  const HostTensor mean = statistic(from.mean, "mean", width), deviation = statistic(from.std, "std", width);
  const Vocabulary vocabulary = vocabulary_of(from.vocabulary, import.source(), config.text.bert.vocab_size);

  AtomicFolder out(folder);
  import.write(out.file("model.safetensors"), from.dtype);
  write_safetensors(out.file("statistics.safetensors"), {{"mean", mean}, {"std", deviation}});
  vocabulary.save(out.file("vocab.txt"));
  write_json(out.file("config.json"), config.to_json());
  write_json(out.file("scheduler_config.json"), config.scheduler_to_json());
  Preprocessor preprocessor;
  preprocessor.size = static_cast<int>(image_size(config.image_encoder));
  write_json(out.file("preprocessor_config.json"), to_json(preprocessor));
  write_json(out.file("generation_config.json"), to_json(config.generation()));
  out.commit();
}

}  // namespace capdiff
