#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "capdiff/formats/json_reader.h"
#include "capdiff/models/image_encoders.h"
#include "capdiff/models/patch_embedding.h"
#include "capdiff/nn/transformer.h"

namespace capdiff {

struct ClipImageConfig {
  std::int64_t image_size = 224;
  std::int64_t patch = 32;
  std::int64_t width = 768;
  std::int64_t depth = 12;
  std::int64_t heads = 12;
  std::int64_t mlp = 3072;
};

/// Which tokens a text tower reads, and so where it reads what a text says.
enum class ClipTokens {
  bpe,        ///< CLIP's, of `merges.txt`; at <|endoftext|>
  wordpiece,  ///< of `vocab.txt`; at [SEP]
};

struct ClipTextConfig {
  ClipTokens tokens = ClipTokens::bpe;
  std::int64_t vocab_size = 49408;
  std::int64_t length = 77;  ///< most tokens of a text, those of its beginning and its end among them
  std::int64_t width = 512;
  std::int64_t depth = 12;
  std::int64_t heads = 8;
  std::int64_t mlp = 2048;
};

/// The sizes of a CLIP; those of OpenAI's ViT-B/32 by default. The `config.json` of its model folder.
struct ClipConfig {
  std::int64_t embed = 512;  ///< E, width of the space that pictures and texts share
  ClipImageConfig image;
  std::optional<ImageEncoderConfig> encoder;  ///< makes the image tower instead of `image`
  ClipTextConfig text;
  Activation activation = Activation::quick_gelu;  ///< or gelu, as some who trained CLIP anew have it
  float eps = 1e-5f;                               ///< of every LayerNorm, but for those of `encoder`
  float init_std = kInitStd;                       ///< of matrices that no file provides, but for those of `encoder`

  /// Side of the pictures, in pixels.
  std::int64_t image_size() const;

  static ClipConfig from_json(const JsonReader& json);
  nlohmann::json to_json() const;
};

/// Turns pictures into CLIP's features.
class ImageTower {
 public:
  virtual ~ImageTower() = default;

  /// pixels [B, 3, S, S], normalised → features [B, E], not of length 1.
  virtual Value features(const Value& pixels, const Probe& probe = {}) const = 0;
};

/// CLIP's image tower (Radford et al. 2021), a ViT with a LayerNorm before its blocks. Parameters have OpenAI's names:
/// `conv1.weight`, `class_embedding`, `positional_embedding`, `ln_pre`, `transformer.resblocks.N.…`, `ln_post`, and
/// `proj` [width, E], below `scope`, which is `visual` of a whole model.
class ClipImageTower final : public ImageTower {
 public:
  ClipImageTower(Backend& backend, const Scope& scope, const ClipConfig& config);

  /// pixels [B, 3, S, S], normalised → the residual stream after the last block [B, 1 + N, width], class token first.
  /// Probes `conv1`, `embed`, `ln_pre`, `blockN.attn_out`, `blockN.mlp_out` and `blockN`.
  Value tokens(const Value& pixels, const Probe& probe = {}) const;
  /// proj(LN(class token)). Probes also `ln_post_cls` [B, width].
  Value features(const Value& pixels, const Probe& probe = {}) const override;

 private:
  Backend* backend_;
  PatchEmbedding embedding_;
  LayerNorm ln_pre_, ln_post_;
  std::vector<PreNormBlock> blocks_;
  Packed proj_;
};

/// An image tower of one of our own encoders: its `pooled` through a projection. Parameters `encoder.…` and `proj`
/// [width, E] below `scope`.
class EncoderTower final : public ImageTower {
 public:
  /// `config.encoder` must be there.
  EncoderTower(Backend& backend, const Scope& scope, const ClipConfig& config);

  const ImageEncoder& encoder() const { return *encoder_; }
  /// pooled [B, width] of the encoder → features [B, E].
  Value project(const Value& pooled) const { return backend_->linear(pooled, proj_); }
  Value features(const Value& pixels, const Probe& probe = {}) const override {
    return project(encoder_->encode(pixels, probe).pooled);
  }

 private:
  Backend* backend_;
  std::unique_ptr<ImageEncoder> encoder_;
  Packed proj_;
};

/// The image tower that the configuration describes.
std::unique_ptr<ImageTower> make_image_tower(Backend& backend, const Scope& scope, const ClipConfig& config);

/// Where texts of CLIP's own tokens end, by its rule: the place of the first of a row's largest ids, which is that of
/// <|endoftext|>. ids i64 [B, L] → B places within their rows.
std::vector<std::int64_t> places_of_largest(const HostTensor& ids);

/// CLIP's text tower, a causal transformer. Parameters at the top of OpenAI's files: `token_embedding.weight`,
/// `positional_embedding`, `transformer.resblocks.N.…`, `ln_final`, and `text_projection` [width, E].
class ClipTextTower {
 public:
  ClipTextTower(Backend& backend, const Scope& scope, const ClipConfig& config);

  /// ids i64 [B, L], and the place within each row where its text ends → features [B, E] at those places, not
  /// normalised. L is at most config.text.length, and may as well be that of the longest text, as nothing behind its
  /// end has an influence. Probes `token_embedding`, `blockN.attn_out`, `blockN.mlp_out`, `blockN` and `ln_final`, all
  /// [B, L, width].
  Value features(const HostTensor& ids, std::span<const std::int64_t> ends, const Probe& probe = {}) const;

 private:
  Backend* backend_;
  std::int64_t length_;
  Embedding token_embedding_;
  Value positions_;
  std::vector<PreNormBlock> blocks_;
  LayerNorm ln_final_;
  Packed proj_;
};

/// The weights of a CLIP as its files have them, of all that a backend has bound for its towers: those know projections
/// the other way round, under names of their own.
std::map<std::string, HostTensor> clip_weights(const std::map<std::string, HostTensor>& bound);

}  // namespace capdiff
