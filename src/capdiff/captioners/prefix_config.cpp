#include "capdiff/captioners/prefix_config.h"

#include <nlohmann/json.hpp>

#include "capdiff/captioners/scheduler_config.h"
#include "capdiff/models/image_encoders.h"
#include "capdiff/models/size_limits.h"

namespace capdiff {
namespace {

PrefixMapperConfig mapper_config(const JsonReader& json, PrefixMapperConfig config) {
  config.prefix = json.get_int("prefix", 1, kMaxPositions, config.prefix);
  config.kind = json.get_choice("type", {"mlp", "transformer"}, "mlp") == "transformer" ? MapperKind::transformer
                                                                                        : MapperKind::mlp;
  if (config.kind == MapperKind::mlp) {
    config.mlp_width = json.get_int("width", 1, kMaxWidth, config.mlp_width);
  } else {
    config.layers = json.get_int("layers", 1, kMaxDepth, config.layers);
    config.heads = json.get_int("heads", 1, config.hidden, config.heads);
    require_divisible(json, config.hidden, config.heads);
  }
  json.reject_unknown_keys();
  return config;
}

nlohmann::json mapper_to_json(const PrefixMapperConfig& config) {
  if (config.kind == MapperKind::mlp) return {{"type", "mlp"}, {"prefix", config.prefix}, {"width", config.mlp_width}};
  return {{"type", "transformer"}, {"prefix", config.prefix}, {"layers", config.layers}, {"heads", config.heads}};
}

PrefixDenoiserConfig prefix_denoiser_config(const JsonReader& json) {
  PrefixDenoiserConfig config;
  config.hidden = json.get_int("hidden", 1, kMaxWidth);
  config.layers = json.get_int("layers", 1, kMaxDepth);
  config.heads = json.get_int("heads", 1, config.hidden);
  require_divisible(json, config.hidden, config.heads);
  config.intermediate = json.get_int("intermediate", 1, kMaxWidth);
  config.max_position = json.get_int("max_position", 1, kMaxPositions, config.max_position);
  config.time_channels = json.get_int("time_channels", 2, kMaxPositions, config.time_channels);
  config.eps = static_cast<float>(json.get_number("eps", 0.0, 1.0, config.eps));
  config.dropout = static_cast<float>(json.get_number("dropout", 0.0, 0.9, config.dropout));
  config.init_std = static_cast<float>(json.get_number("init_std", 0.0, 1.0, config.init_std));
  json.reject_unknown_keys();
  return config;
}

nlohmann::json denoiser_to_json(const PrefixDenoiserConfig& config) {
  return {{"hidden", config.hidden},
          {"layers", config.layers},
          {"heads", config.heads},
          {"intermediate", config.intermediate},
          {"max_position", config.max_position},
          {"time_channels", config.time_channels},
          {"eps", config.eps},
          {"dropout", config.dropout},
          {"init_std", config.init_std}};
}

WordSpaceConfig word_space_config(const JsonReader& json, WordSpaceConfig config) {
  config.vocab_size = json.get_int("vocab_size", 1, kMaxVocabulary);
  config.width = json.get_int("width", 1, kMaxWidth, config.width);
  config.logits =
      json.get_choice("logits", {"dot", "distance"}, "dot") == "distance" ? WordLogits::distance : WordLogits::dot;
  json.reject_unknown_keys();
  return config;
}

}  // namespace

PrefixConfig PrefixConfig::of(Profile profile) {
  PrefixConfig config;
  config.profile = profile;
  config.schedule.table = ScheduleTable::from_beta;
  config.schedule.kind = ScheduleKind::truncated_linear;
  if (profile == Profile::paper) return config;
  config.schedule.kind = ScheduleKind::truncated_cosine;
  config.respacing = Respacing::rebuild;
  config.word_case = WordCase::sentence;
  return config;
}

GenerationOptions PrefixConfig::generation() const {
  GenerationOptions options;
  options.steps = profile == Profile::released ? 200 : 30;
  options.eta = 1.0;
  options.guidance = 0.0;
  options.clamping.kind = Clamping::Kind::hard;
  return options;
}

PrefixConfig PrefixConfig::from_json(const JsonReader& json, const JsonReader* scheduler) {
  json.get_choice("model_type", {"prefix-diffusion"});
  PrefixConfig config = of(read_profile(json));
  config.length = json.get_int("length", 1, kMaxPositions);
  config.clip = ClipConfig::from_json(json.get_object("clip"));
  config.text = word_space_config(json.get_object("text"), config.text);
  config.denoiser = prefix_denoiser_config(json.get_object("denoiser"));
  config.denoiser.latent = config.text.width;
  PrefixMapperConfig& mapper = config.denoiser.mapper;
  mapper.feature = config.clip.embed;
  mapper.hidden = config.denoiser.hidden;
  mapper.dropout = config.denoiser.dropout;
  mapper.init_std = config.denoiser.init_std;
  if (json.has("mapper")) mapper = mapper_config(json.get_object("mapper"), mapper);
  config.word_case = json.get_choice("word_case", {"lower", "sentence"},
                                     config.word_case == WordCase::sentence ? "sentence" : "lower") == "sentence"
                         ? WordCase::sentence
                         : WordCase::lower;
  config.null_image = json.get_bool("null_image", config.null_image);
  if (scheduler) {
    config.schedule = read_noise_schedule(*scheduler, config.schedule);
    config.respacing = scheduler->get_choice("respacing", {"stride", "rebuild"},
                                             config.respacing == Respacing::rebuild ? "rebuild" : "stride") == "rebuild"
                           ? Respacing::rebuild
                           : Respacing::stride;
    scheduler->reject_unknown_keys();
  }
  json.reject_unknown_keys();
  return config;
}

PrefixConfig PrefixConfig::of_folder(const ModelFolder& folder) {
  return from_json(folder.config(), folder.scheduler_config() ? &*folder.scheduler_config() : nullptr);
}

nlohmann::json PrefixConfig::to_json() const {
  return {{"model_type", "prefix-diffusion"},
          {"profile", name_of(profile)},
          {"length", length},
          {"clip", clip.to_json()},
          {"text",
           {{"vocab_size", text.vocab_size},
            {"width", text.width},
            {"logits", text.logits == WordLogits::distance ? "distance" : "dot"}}},
          {"denoiser", denoiser_to_json(denoiser)},
          {"mapper", mapper_to_json(denoiser.mapper)},
          {"word_case", word_case == WordCase::sentence ? "sentence" : "lower"},
          {"null_image", null_image}};
}

nlohmann::json PrefixConfig::scheduler_to_json() const {
  nlohmann::json json = capdiff::to_json(schedule);
  json["respacing"] = respacing == Respacing::rebuild ? "rebuild" : "stride";
  return json;
}

}  // namespace capdiff
