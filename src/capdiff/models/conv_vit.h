#pragma once

#include <optional>
#include <vector>

#include "capdiff/models/image_encoder.h"
#include "capdiff/nn/transformer.h"

namespace capdiff {

/// A stage of the convolutional stem: a 3×3 convolution of stride 2, then residual blocks.
struct ConvStageConfig {
  std::int64_t channels = 64;
  std::int64_t blocks = 0;
  bool norm = true;  ///< LayerNorm after its convolutions; at full resolution it costs more than it helps
};

struct ConvVitConfig {
  std::int64_t image_size = 224;
  std::vector<ConvStageConfig> stages;  ///< k stages leave (S / 2ᵏ)² tokens
  std::int64_t depth = 6;               ///< transformer blocks, of the last stage's width
  std::int64_t heads = 4;
  std::int64_t mlp = 1024;
  float eps = 1e-6f;
  float init_std = kInitStd;

  std::int64_t width() const { return stages.back().channels; }
};

/// An image encoder for small data: convolutions see edges and textures with few examples, transformer blocks on the
/// coarse grid see the scene. Every convolution is followed by LayerNorm over the channels, where the stage
/// has it, and GELU; the tokens are the
/// grid in row-major order after learned positions, pre-norm blocks and a final LayerNorm; `pooled` is their mean.
class ConvVit final : public ImageEncoder {
 public:
  ConvVit(Backend& backend, const Scope& scope, const ConvVitConfig& config);

  /// Probes `stage.i` [B, H, W, C] and `block.i` [B, N, width].
  ImageTokens encode(const Value& pixels, const Probe& probe = {}) const override;
  std::int64_t image_size() const override { return config_.image_size; }
  std::int64_t width() const override { return config_.width(); }

 private:
  /// 3×3 convolution, optional LayerNorm, GELU.
  struct ConvNorm {
    Packed conv;
    std::optional<LayerNorm> norm;
    std::int64_t stride;
  };
  /// x + pointwise(ConvNorm(x))
  struct ResidualBlock {
    ConvNorm conv;
    Linear pointwise;
  };
  struct Stage {
    ConvNorm down;
    std::vector<ResidualBlock> blocks;
  };

  ConvNorm conv_norm(const Scope& scope, std::int64_t in, std::int64_t out, std::int64_t stride, bool norm) const;
  Value apply(const ConvNorm& layer, const Value& x) const;

  Backend* backend_;
  ConvVitConfig config_;
  std::vector<Stage> stages_;
  Value pos_embed_;
  std::vector<PreNormBlock> blocks_;
  LayerNorm norm_;
};

}  // namespace capdiff
