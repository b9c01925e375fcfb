#include "capdiff/captioners/ladic_config.h"

#include <nlohmann/json.hpp>

#include "capdiff/captioners/scheduler_config.h"
#include "capdiff/models/size_limits.h"

namespace capdiff {
namespace {

const char* name_of(LatentLoss loss) {
  return loss == LatentLoss::mean_l2 ? "mean_l2" : "mean_squared";
}
const char* name_of(SpecialTargets targets) {
  return targets == SpecialTargets::dots ? "dots" : "tokens";
}
const char* name_of(CaptionText text) {
  return text == CaptionText::without_dots ? "without_dots" : "words";
}
const char* name_of(TimeGrid grid) {
  return grid == TimeGrid::stride ? "stride" : "even";
}

const char* name_of(SpecialLatent latent) {
  switch (latent) {
    case SpecialLatent::zeros: return "zeros";
    case SpecialLatent::dot: return "dot";
    case SpecialLatent::kept: return "kept";
  }
  return "";
}

SpecialLatent special_latent(const std::string& name) {
  for (const SpecialLatent latent : {SpecialLatent::dot, SpecialLatent::kept})
    if (name == name_of(latent)) return latent;
  return SpecialLatent::zeros;
}

LadicDenoiserConfig denoiser_config(const JsonReader& json) {
  LadicDenoiserConfig config;
  config.hidden = json.get_int("hidden", 1, kMaxWidth);
  config.layers = json.get_int("layers", 1, kMaxDepth);
  config.heads = json.get_int("heads", 1, config.hidden);
  require_divisible(json, config.hidden, config.heads);
  config.intermediate = json.get_int("intermediate", 1, kMaxWidth);
  config.max_position = json.get_int("max_position", 1, kMaxPositions);
  config.eps = static_cast<float>(json.get_number("eps", 0.0, 1.0, config.eps));
  config.dropout = static_cast<float>(json.get_number("dropout", 0.0, 0.9, config.dropout));
  config.init_std = static_cast<float>(json.get_number("init_std", 0.0, 1.0, config.init_std));
  config.time_layer_norm = json.get_bool("time_layer_norm", config.time_layer_norm);
  config.conditioning =
      json.get_choice("conditioning", {"cross-attention", "image-token"}, "cross-attention") == "image-token"
          ? ImageConditioning::image_token
          : ImageConditioning::cross_attention;
  json.reject_unknown_keys();
  return config;
}

void read_scheduler(const JsonReader& json, LadicConfig& config) {
  config.schedule = read_noise_schedule(json, config.schedule);
  config.time_shift = json.get_int("time_shift", 0, 1'000'000, config.time_shift);
  config.time_grid = json.get_choice("time_grid", {"even", "stride"}, name_of(config.time_grid)) == "stride"
                         ? TimeGrid::stride
                         : TimeGrid::even;
  json.reject_unknown_keys();
}

}  // namespace

SplitBertConfig split_bert_config(const JsonReader& json, SplitBertConfig config) {
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
  config.encoder_layers = json.get_int("encoder_layers", 0, kMaxDepth, config.encoder_layers);
  config.decoder_layers = json.get_int("decoder_layers", 0, kMaxDepth, config.decoder_layers);
  bert.layers = config.encoder_layers + config.decoder_layers;
  config.special_latent =
      special_latent(json.get_choice("special_latent", {"zeros", "dot", "kept"}, name_of(config.special_latent)));
  config.target_dropout = static_cast<float>(json.get_number("target_dropout", 0.0, 0.9, config.target_dropout));
  json.reject_unknown_keys();
  return config;
}

LadicConfig LadicConfig::of(Profile profile) {
  LadicConfig config;
  config.profile = profile;
  if (profile == Profile::paper) return config;
  config.text.decoder_layers = 0;
  config.text.special_latent = SpecialLatent::dot;
  config.schedule.kind = ScheduleKind::linear;
  config.schedule.noise_factor = 4.0;
  config.latent_loss = LatentLoss::mean_l2;
  config.special_targets = SpecialTargets::dots;
  config.caption_text = CaptionText::without_dots;
  config.time_grid = TimeGrid::stride;
  config.time_shift = 5;
  config.text.target_dropout = 0.1f;
  return config;
}

GenerationOptions LadicConfig::generation() const {
  GenerationOptions options;
  if (profile == Profile::paper) return options;
  options.steps = 34;
  options.sampler = SamplerKind::renoise;
  // 300 < t < 600 of T = 1000, and a third of the positions.
  options.back_and_refine.time = 0.5995;
  options.back_and_refine.not_below = 0.3;
  options.back_and_refine.share = 1.0 / 3.0;
  options.back_and_refine.noisy = true;
  return options;
}

LadicConfig LadicConfig::from_json(const JsonReader& json, const JsonReader* scheduler) {
  json.get_choice("model_type", {"ladic"});
  LadicConfig config = of(read_profile(json));
  config.length = json.get_int("length", 3, kMaxPositions);
  config.max_words = json.get_int("max_words", 1, kMaxPositions, config.max_words);
  config.image_encoder = image_encoder_config(json.get_object("image_encoder"));
  config.text = split_bert_config(json.get_object("text"), config.text);
  config.denoiser = denoiser_config(json.get_object("diffuser"));
  config.denoiser.latent = config.text.bert.hidden;
  config.denoiser.encoder_width = token_width(config.image_encoder);
  config.latent_loss =
      json.get_choice("latent_loss", {"mean_squared", "mean_l2"}, name_of(config.latent_loss)) == "mean_l2"
          ? LatentLoss::mean_l2
          : LatentLoss::mean_squared;
  config.caption_loss_weight = json.get_number("caption_loss_weight", 0.0, 1000.0, config.caption_loss_weight);
  config.special_targets =
      json.get_choice("special_targets", {"tokens", "dots"}, name_of(config.special_targets)) == "dots"
          ? SpecialTargets::dots
          : SpecialTargets::tokens;
  config.caption_text =
      json.get_choice("caption_text", {"words", "without_dots"}, name_of(config.caption_text)) == "without_dots"
          ? CaptionText::without_dots
          : CaptionText::words;
  if (scheduler) read_scheduler(*scheduler, config);
  config.denoiser.time_steps = config.schedule.time_steps;
  json.reject_unknown_keys();
  return config;
}

LadicConfig LadicConfig::of_folder(const ModelFolder& folder) {
  return from_json(folder.config(), folder.scheduler_config() ? &*folder.scheduler_config() : nullptr);
}

nlohmann::json LadicConfig::to_json() const {
  const BertConfig& bert = text.bert;
  return {
      {"model_type", "ladic"},
      {"profile", capdiff::name_of(profile)},
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
        {"special_latent", name_of(text.special_latent)},
        {"target_dropout", text.target_dropout}}},
      {"diffuser",
       {{"hidden", denoiser.hidden},
        {"layers", denoiser.layers},
        {"heads", denoiser.heads},
        {"intermediate", denoiser.intermediate},
        {"max_position", denoiser.max_position},
        {"eps", denoiser.eps},
        {"dropout", denoiser.dropout},
        {"init_std", denoiser.init_std},
        {"time_layer_norm", denoiser.time_layer_norm},
        {"conditioning", denoiser.conditioning == ImageConditioning::image_token ? "image-token" : "cross-attention"}}},
      {"latent_loss", name_of(latent_loss)},
      {"caption_loss_weight", caption_loss_weight},
      {"special_targets", name_of(special_targets)},
      {"caption_text", name_of(caption_text)}};
}

nlohmann::json LadicConfig::scheduler_to_json() const {
  nlohmann::json json = capdiff::to_json(schedule);
  json["time_shift"] = time_shift;
  json["time_grid"] = name_of(time_grid);
  return json;
}

}  // namespace capdiff
