#include "capdiff/captioners/import_parts.h"

#include <nlohmann/json.hpp>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/captioners/checkpoint_import.h"
#include "capdiff/captioners/ladic_config.h"
#include "capdiff/text/vocabulary.h"

namespace capdiff {
namespace {

std::optional<JsonReader> open_config(const std::optional<std::filesystem::path>& path) {
  if (!path) return std::nullopt;
  return JsonReader::open(*path, ErrorCode::invalid_model);
}

}  // namespace

void import_bert(const BertImport& from, const std::filesystem::path& folder) {
  CheckpointImport import(WeightsFile::open(from.weights), "");
  const std::string prefix = import.contains("bert.embeddings.word_embeddings.weight") ? "bert." : "";
  const std::string embeddings = prefix + "embeddings", layers = prefix + "encoder.layer";

  LadicConfig config;
  BertConfig& bert = config.text.bert;
  bert = bert_sizes(import, embeddings, layers + ".0");
  bert.layers = import.count(layers);
  const std::optional<JsonReader> json = open_config(from.config);
  const std::optional<JsonReader> section = json && json->has("text") ? find_section(json, {"text"}) : json;
  bert.heads = choose_heads(from.heads, section, {"heads", "num_attention_heads"}, 12, bert.hidden, "--text-heads");
  bert.eps = choose_eps(section, bert.eps);
  require_same_sizes(section, import.source(),
                     {{"vocab_size", bert.vocab_size},
                      {"type_vocab_size", bert.type_vocab},
                      {"hidden_size", bert.hidden},
                      {"num_hidden_layers", bert.layers},
                      {"intermediate_size", bert.intermediate},
                      {"max_position_embeddings", bert.max_position}});
  config.text.encoder_layers = from.encoder_layers.value_or(bert.layers / 2);
  if (config.text.encoder_layers < 1 || config.text.encoder_layers > bert.layers)
    fail(ErrorCode::usage, "--encoder-layers {}: the weights in {} have {} layers", config.text.encoder_layers,
         import.source(), bert.layers);
  config.text.decoder_layers = bert.layers - config.text.encoder_layers;

  import_bert_embeddings({import, embeddings, "space_encoder.embeddings"}, bert);
  for (std::int64_t i = 0; i < bert.layers; ++i) {
    const std::string half = i < config.text.encoder_layers ? "space_encoder" : "space_decoder";
    import_bert_layer(ImportScope(import, layers, half + ".encoder.layer") / i, bert.hidden, bert.intermediate);
  }
  import_lm_head(import, "cls.predictions", "lm_head.predictions", bert, embeddings + ".word_embeddings.weight");
  ImportScope(import, prefix + "pooler.dense", std::nullopt).linear(bert.hidden, bert.hidden);
  ImportScope(import, "cls.seq_relationship", std::nullopt).linear(bert.hidden, 2);
  import.require_nothing_else();
  std::optional<Vocabulary> vocabulary;
  if (from.vocabulary) vocabulary = Vocabulary::load(*from.vocabulary);
  if (vocabulary && vocabulary->size() != bert.vocab_size)
    fail(ErrorCode::invalid_model, "{}: {} tokens, but the weights in {} are for {}", from.vocabulary->string(),
         vocabulary->size(), import.source(), bert.vocab_size);

  AtomicFolder out(folder);
  import.write(out.file("model.safetensors"), from.dtype);
  if (vocabulary) vocabulary->save(out.file("vocab.txt"));
  write_json(out.file("config.json"), {{"model_type", "bert"}, {"text", config.to_json().at("text")}});
  out.commit();
}

}  // namespace capdiff
