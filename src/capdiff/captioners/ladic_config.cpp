#include "capdiff/captioners/ladic_config.h"

#include <nlohmann/json.hpp>

namespace capdiff {
namespace {

constexpr std::int64_t kMaxWidth = 16384;
constexpr std::int64_t kMaxLayers = 256;
constexpr std::int64_t kMaxVocabulary = 1 << 20;
constexpr std::int64_t kMaxPositions = 4096;

SplitBertConfig text_config(const JsonReader& json) {
  SplitBertConfig config;
  BertConfig& bert = config.bert;
  bert.vocab_size = json.get_int("vocab_size", 1, kMaxVocabulary);
  bert.hidden = json.get_int("hidden", 1, kMaxWidth);
  bert.heads = json.get_int("heads", 1, bert.hidden);
  require_divisible(json, bert.hidden, bert.heads);
  bert.intermediate = json.get_int("intermediate", 1, kMaxWidth);
  bert.max_position = json.get_int("max_position", 1, kMaxPositions);
  bert.type_vocab = json.get_int("type_vocab", 1, 16, bert.type_vocab);
  bert.eps = static_cast<float>(json.get_number("eps", 0.0, 1.0, bert.eps));
  bert.init_std = static_cast<float>(json.get_number("init_std", 0.0, 1.0, bert.init_std));
  config.encoder_layers = json.get_int("encoder_layers", 0, kMaxLayers);
  config.decoder_layers = json.get_int("decoder_layers", 0, kMaxLayers);
  bert.layers = config.encoder_layers + config.decoder_layers;
  config.special_latent =
      json.get_choice("special_latent", {"zeros", "dot"}, "zeros") == "dot" ? SpecialLatent::dot : SpecialLatent::zeros;
  json.reject_unknown_keys();
  return config;
}

LadicDenoiserConfig denoiser_config(const JsonReader& json) {
  LadicDenoiserConfig config;
  config.hidden = json.get_int("hidden", 1, kMaxWidth);
  config.layers = json.get_int("layers", 1, kMaxLayers);
  config.heads = json.get_int("heads", 1, config.hidden);
  require_divisible(json, config.hidden, config.heads);
  config.intermediate = json.get_int("intermediate", 1, kMaxWidth);
  config.max_position = json.get_int("max_position", 1, kMaxPositions);
  config.eps = static_cast<float>(json.get_number("eps", 0.0, 1.0, config.eps));
  config.dropout = static_cast<float>(json.get_number("dropout", 0.0, 0.9, config.dropout));
  config.init_std = static_cast<float>(json.get_number("init_std", 0.0, 1.0, config.init_std));
  config.time_layer_norm = json.get_bool("time_layer_norm", config.time_layer_norm);
  json.reject_unknown_keys();
  return config;
}

NoiseScheduleConfig schedule_config(const JsonReader& json) {
  NoiseScheduleConfig config;
  config.kind = schedule_kind(json.get_choice("schedule", {"linear", "cosine"}, "cosine"));
  config.time_steps = json.get_int("time_steps", 2, 1'000'000, config.time_steps);
  config.beta_min = json.get_number("beta_min", 0.0, 1.0, config.beta_min);
  config.beta_max = json.get_number("beta_max", 0.0, 1.0, config.beta_max);
  config.cosine_s = json.get_number("cosine_s", 0.0, 1.0, config.cosine_s);
  config.noise_factor = json.get_number("noise_factor", 0.0, 1000.0, config.noise_factor);
  config.sample_noise_factor = json.get_number("sample_noise_factor", 0.0, 1000.0, config.sample_noise_factor);
  json.reject_unknown_keys();
  return config;
}

}  // namespace

LadicConfig LadicConfig::from_json(const JsonReader& json, const JsonReader* scheduler) {
  json.get_choice("model_type", {"ladic"});
  json.get_choice("profile", {"paper"});
  LadicConfig config;
  config.length = json.get_int("length", 3, kMaxPositions);
  config.image_encoder = image_encoder_config(json.get_object("image_encoder"));
  config.text = text_config(json.get_object("text"));
  config.denoiser = denoiser_config(json.get_object("diffuser"));
  config.denoiser.latent = config.text.bert.hidden;
  config.denoiser.encoder_width = token_width(config.image_encoder);
  config.latent_loss = json.get_choice("latent_loss", {"mean_squared", "mean_l2"}, "mean_squared") == "mean_l2"
                           ? LatentLoss::mean_l2
                           : LatentLoss::mean_squared;
  config.caption_loss_weight = json.get_number("caption_loss_weight", 0.0, 1000.0, config.caption_loss_weight);
  if (scheduler) config.schedule = schedule_config(*scheduler);
  config.denoiser.time_steps = config.schedule.time_steps;
  json.reject_unknown_keys();
  return config;
}

nlohmann::json LadicConfig::to_json() const {
  const BertConfig& bert = text.bert;
  return {{"model_type", "ladic"},
          {"profile", "paper"},
          {"length", length},
          {"image_encoder", capdiff::to_json(image_encoder)},
          {"text",
           {{"vocab_size", bert.vocab_size},
            {"hidden", bert.hidden},
            {"heads", bert.heads},
            {"intermediate", bert.intermediate},
            {"max_position", bert.max_position},
            {"type_vocab", bert.type_vocab},
            {"eps", bert.eps},
            {"init_std", bert.init_std},
            {"encoder_layers", text.encoder_layers},
            {"decoder_layers", text.decoder_layers},
            {"special_latent", text.special_latent == SpecialLatent::dot ? "dot" : "zeros"}}},
          {"diffuser",
           {{"hidden", denoiser.hidden},
            {"layers", denoiser.layers},
            {"heads", denoiser.heads},
            {"intermediate", denoiser.intermediate},
            {"max_position", denoiser.max_position},
            {"eps", denoiser.eps},
            {"dropout", denoiser.dropout},
            {"init_std", denoiser.init_std},
            {"time_layer_norm", denoiser.time_layer_norm}}},
          {"latent_loss", latent_loss == LatentLoss::mean_l2 ? "mean_l2" : "mean_squared"},
          {"caption_loss_weight", caption_loss_weight}};
}

nlohmann::json LadicConfig::scheduler_to_json() const {
  return {{"schedule", name_of(schedule.kind)},
          {"time_steps", schedule.time_steps},
          {"beta_min", schedule.beta_min},
          {"beta_max", schedule.beta_max},
          {"cosine_s", schedule.cosine_s},
          {"noise_factor", schedule.noise_factor},
          {"sample_noise_factor", schedule.sample_noise_factor}};
}

}  // namespace capdiff
