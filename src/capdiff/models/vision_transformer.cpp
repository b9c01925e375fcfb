#include "capdiff/models/vision_transformer.h"

#include <fmt/format.h>

namespace capdiff {
namespace {

PatchEmbedding embedding(Backend& backend, const Scope& scope, const VisionTransformerConfig& config) {
  const std::int64_t side = config.image_size / config.patch, width = config.width;
  const Init init = Init::normal(config.init_std);
  const Scope proj = scope / "patch_embed" / "proj";
  return {backend, proj.get("weight", {width, 3, config.patch, config.patch}, init),
          proj.get("bias", {width}, Init::zeros()), scope.get("cls_token", {1, 1, width}, init),
          scope.get("pos_embed", {1, 1 + side * side, width}, init)};
}

}  // namespace

VisionTransformer::VisionTransformer(Backend& backend, const Scope& scope, const VisionTransformerConfig& config)
    : backend_(&backend), config_(config), embedding_(embedding(backend, scope, config)) {
  for (std::int64_t i = 0; i < config.depth; ++i)
    blocks_.emplace_back(
        backend, scope / "blocks" / i,
        PreNormBlockConfig{config.width, config.heads, config.mlp, config.eps, Activation::gelu, config.init_std});
  norm_ = LayerNorm(backend, scope / "norm", config.width, config.eps);
}

ImageTokens VisionTransformer::encode(const Value& pixels, const Probe& probe) const {
  Value x = embedding_(pixels);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    x = blocks_[i](x);
    if (probe) probe(fmt::format("block.{}", i), x);
  }
  x = norm_(x);
  return {x, first_tokens(*backend_, x)};
}

}  // namespace capdiff
