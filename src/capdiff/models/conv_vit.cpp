#include "capdiff/models/conv_vit.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace capdiff {

ConvVit::ConvVit(Backend& backend, const Scope& scope, const ConvVitConfig& config)
    : backend_(&backend), config_(config) {
  std::int64_t channels = 3;
  std::int64_t side = config.image_size;
  for (std::size_t i = 0; i < config.stages.size(); ++i) {
    const ConvStageConfig& stage = config.stages[i];
    const Scope here = scope / "stages" / static_cast<std::int64_t>(i);
    Stage built{conv_norm(here / "down", channels, stage.channels, 2, stage.norm), {}};
    for (std::int64_t j = 0; j < stage.blocks; ++j) {
      const Scope block = here / "blocks" / j;
      built.blocks.push_back(
          {conv_norm(block, stage.channels, stage.channels, 1, stage.norm),
           Linear(backend, block / "pointwise", stage.channels, stage.channels, Init::normal(config.init_std))});
    }
    stages_.push_back(std::move(built));
    channels = stage.channels;
    side = (side + 1) / 2;
  }
  pos_embed_ = backend.bind(scope.get("pos_embed", {1, side * side, channels}, Init::normal(config.init_std)));
  for (std::int64_t i = 0; i < config.depth; ++i)
    blocks_.emplace_back(
        backend, scope / "blocks" / i,
        PreNormBlockConfig{channels, config.heads, config.mlp, config.eps, Activation::gelu, config.init_std});
  norm_ = LayerNorm(backend, scope / "norm", channels, config.eps);
}

ImageTokens ConvVit::encode(const Value& pixels, const Probe& probe) const {
  Backend& b = *backend_;
  Value x = b.permute(pixels, std::array{0, 2, 3, 1});
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    x = apply(stages_[i].down, x);
    for (const ResidualBlock& block : stages_[i].blocks) x = block.pointwise(apply(block.conv, x), Activation::none, x);
    if (probe) probe(fmt::format("stage.{}", i), x);
  }
  x = b.reshape(x, {x.shape()[0], x.shape()[1] * x.shape()[2], x.shape()[3]});
  x = b.add(x, pos_embed_);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    x = blocks_[i](x);
    if (probe) probe(fmt::format("block.{}", i), x);
  }
  x = norm_(x);
  return {x, b.mean(x, 1)};
}

ConvVit::ConvNorm ConvVit::conv_norm(const Scope& scope, std::int64_t in, std::int64_t out, std::int64_t stride,
                                     bool norm) const {
  // He initialisation: the networks below the transformer have no other means to keep their scale.
  const float deviation = std::sqrt(2.0f / static_cast<float>(in * 9));
  const Scope conv = scope / "conv";
  ConvNorm layer{backend_->bind_conv2d(conv.get("weight", {out, in, 3, 3}, Init::normal(deviation)),
                                       conv.get("bias", {out}, Init::zeros()), 1),
                 std::nullopt, stride};
  if (norm) layer.norm = LayerNorm(*backend_, scope / "norm", out, config_.eps);
  return layer;
}

Value ConvVit::apply(const ConvNorm& layer, const Value& x) const {
  const Value y = backend_->conv2d(x, layer.conv, Conv2dOptions::padded(1, layer.stride));
  return backend_->activation(layer.norm ? (*layer.norm)(y) : y, Activation::gelu);
}

}  // namespace capdiff
