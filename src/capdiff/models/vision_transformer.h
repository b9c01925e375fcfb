#pragma once

#include <vector>

#include "capdiff/models/image_encoder.h"
#include "capdiff/models/patch_embedding.h"
#include "capdiff/nn/transformer.h"

namespace capdiff {

struct VisionTransformerConfig {
  std::int64_t image_size = 224;
  std::int64_t patch = 16;
  std::int64_t width = 768;
  std::int64_t depth = 12;
  std::int64_t heads = 12;
  std::int64_t mlp = 3072;
  float eps = 1e-6f;
  float init_std = kInitStd;
};

/// ViT as in BLIP and timm: patch convolution, class token first, learned positions, pre-norm blocks, final LayerNorm.
/// All N = 1 + (S / patch)² rows are tokens; `pooled` is the class token.
class VisionTransformer final : public ImageEncoder {
 public:
  VisionTransformer(Backend& backend, const Scope& scope, const VisionTransformerConfig& config);

  /// Probes `block.i`: the residual stream [B, N, width] after block i.
  ImageTokens encode(const Value& pixels, const Probe& probe = {}) const override;
  std::int64_t image_size() const override { return config_.image_size; }
  std::int64_t width() const override { return config_.width; }

 private:
  Backend* backend_;
  VisionTransformerConfig config_;
  PatchEmbedding embedding_;
  std::vector<PreNormBlock> blocks_;
  LayerNorm norm_;
};

}  // namespace capdiff
