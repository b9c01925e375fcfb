#include "capdiff/models/vision_transformer.h"

#include <fmt/format.h>

#include <array>

namespace capdiff {

VisionTransformer::VisionTransformer(Backend& backend, const Scope& scope, const VisionTransformerConfig& config)
    : backend_(&backend), config_(config) {
  const std::int64_t side = config.image_size / config.patch;
  const Scope proj = scope / "patch_embed" / "proj";
  patch_embed_ = backend.bind_conv2d(
      proj.get("weight", {config.width, 3, config.patch, config.patch}, Init::normal(config.init_std)),
      proj.get("bias", {config.width}, Init::zeros()), 1);
  cls_token_ = backend.bind(scope.get("cls_token", {1, 1, config.width}, Init::normal(config.init_std)));
  pos_embed_ = backend.bind(scope.get("pos_embed", {1, 1 + side * side, config.width}, Init::normal(config.init_std)));
  for (std::int64_t i = 0; i < config.depth; ++i)
    blocks_.emplace_back(
        backend, scope / "blocks" / i,
        PreNormBlockConfig{config.width, config.heads, config.mlp, config.eps, Activation::gelu, config.init_std});
  norm_ = LayerNorm(backend, scope / "norm", config.width, config.eps);
}

ImageTokens VisionTransformer::encode(const Value& pixels, const Probe& probe) const {
  Backend& b = *backend_;
  const std::int64_t batch = pixels.shape()[0];
  const Value image = b.permute(pixels, std::array{0, 2, 3, 1});
  const Value grid = b.conv2d(image, patch_embed_, Conv2dOptions::padded(0, config_.patch));
  const Value patches = b.reshape(grid, {batch, grid.shape()[1] * grid.shape()[2], config_.width});
  Value x = b.add(b.concat(std::array{repeat_batch(b, cls_token_, batch), patches}, 1), pos_embed_);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    x = blocks_[i](x);
    if (probe) probe(fmt::format("block.{}", i), x);
  }
  x = norm_(x);
  return {x, b.reshape(b.slice(x, 1, 0, 1), {batch, config_.width})};
}

}  // namespace capdiff
