#include "capdiff/models/image_encoders.h"

#include <nlohmann/json.hpp>

#include "capdiff/models/size_limits.h"

namespace capdiff {
namespace {

VisionTransformerConfig vit_config(const JsonReader& json) {
  VisionTransformerConfig config;
  config.image_size = json.get_int("image_size", 1, kMaxSide);
  config.patch = json.get_int("patch", 1, config.image_size);
  config.width = json.get_int("width", 1, kMaxWidth);
  config.depth = json.get_int("depth", 1, kMaxDepth);
  config.heads = json.get_int("heads", 1, config.width);
  require_divisible(json, config.width, config.heads);
  config.mlp = json.get_int("mlp", 1, kMaxWidth);
  config.eps = static_cast<float>(json.get_number("eps", 0.0, 1.0, config.eps));
  config.init_std = static_cast<float>(json.get_number("init_std", 0.0, 1.0, config.init_std));
  return config;
}

ConvVitConfig conv_vit_config(const JsonReader& json) {
  ConvVitConfig config;
  config.image_size = json.get_int("image_size", 1, kMaxSide);
  for (const JsonReader& stage : json.get_objects("stages", 12)) {
    config.stages.push_back(
        {stage.get_int("channels", 1, kMaxWidth), stage.get_int("blocks", 0, kMaxDepth), stage.get_bool("norm", true)});
    stage.reject_unknown_keys();
  }
  if (config.stages.empty()) fail(ErrorCode::invalid_model, "{}: a conv-vit needs at least one stage", json.source());
  config.depth = json.get_int("depth", 0, kMaxDepth);
  config.heads = json.get_int("heads", 1, kMaxWidth);
  require_divisible(json, config.width(), config.heads);
  config.mlp = json.get_int("mlp", 1, kMaxWidth);
  config.eps = static_cast<float>(json.get_number("eps", 0.0, 1.0, config.eps));
  config.init_std = static_cast<float>(json.get_number("init_std", 0.0, 1.0, config.init_std));
  return config;
}

}  // namespace

void require_divisible(const JsonReader& json, std::int64_t width, std::int64_t heads) {
  if (width % heads != 0)
    fail(ErrorCode::invalid_model, "{}: a width of {} cannot be shared by {} heads", json.source(), width, heads);
}

ImageEncoderConfig image_encoder_config(const JsonReader& json) {
  const bool vit = json.get_choice("type", {"vit", "conv-vit"}) == "vit";
  ImageEncoderConfig config = vit ? ImageEncoderConfig(vit_config(json)) : ImageEncoderConfig(conv_vit_config(json));
  json.reject_unknown_keys();
  return config;
}

nlohmann::json to_json(const ImageEncoderConfig& config) {
  if (const auto* vit = std::get_if<VisionTransformerConfig>(&config))
    return {{"type", "vit"},
            {"image_size", vit->image_size},
            {"patch", vit->patch},
            {"width", vit->width},
            {"depth", vit->depth},
            {"heads", vit->heads},
            {"mlp", vit->mlp},
            {"eps", vit->eps},
            {"init_std", vit->init_std}};
  const auto& conv = std::get<ConvVitConfig>(config);
  nlohmann::json stages = nlohmann::json::array();
  for (const ConvStageConfig& stage : conv.stages)
    stages.push_back({{"channels", stage.channels}, {"blocks", stage.blocks}, {"norm", stage.norm}});
  return {{"type", "conv-vit"},  {"image_size", conv.image_size}, {"stages", stages},
          {"depth", conv.depth}, {"heads", conv.heads},           {"mlp", conv.mlp},
          {"eps", conv.eps},     {"init_std", conv.init_std}};
}

std::int64_t image_size(const ImageEncoderConfig& config) {
  return std::visit([](const auto& encoder) { return encoder.image_size; }, config);
}

std::int64_t token_width(const ImageEncoderConfig& config) {
  if (const auto* vit = std::get_if<VisionTransformerConfig>(&config)) return vit->width;
  return std::get<ConvVitConfig>(config).width();
}

std::unique_ptr<ImageEncoder> make_image_encoder(Backend& backend, const Scope& scope,
                                                 const ImageEncoderConfig& config) {
  if (const auto* vit = std::get_if<VisionTransformerConfig>(&config))
    return std::make_unique<VisionTransformer>(backend, scope, *vit);
  return std::make_unique<ConvVit>(backend, scope, std::get<ConvVitConfig>(config));
}

}  // namespace capdiff
