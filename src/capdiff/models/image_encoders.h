#pragma once

#include <memory>
#include <variant>

#include "capdiff/formats/json_reader.h"
#include "capdiff/models/conv_vit.h"
#include "capdiff/models/vision_transformer.h"

namespace capdiff {

/// Any of the image encoders; in configurations `{"type": "vit" | "conv-vit", …sizes}`.
using ImageEncoderConfig = std::variant<VisionTransformerConfig, ConvVitConfig>;

/// Throws `Error(invalid_model)` that names the file where `heads` cannot share `width` evenly.
void require_divisible(const JsonReader& json, std::int64_t width, std::int64_t heads);

ImageEncoderConfig image_encoder_config(const JsonReader& json);
nlohmann::json to_json(const ImageEncoderConfig& config);
std::int64_t image_size(const ImageEncoderConfig& config);
std::int64_t token_width(const ImageEncoderConfig& config);

std::unique_ptr<ImageEncoder> make_image_encoder(Backend& backend, const Scope& scope,
                                                 const ImageEncoderConfig& config);

}  // namespace capdiff
