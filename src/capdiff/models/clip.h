#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "capdiff/formats/json_reader.h"
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

struct ClipTextConfig {
  std::int64_t vocab_size = 49408;
  std::int64_t length = 77;  ///< most tokens of a text, <|startoftext|> and <|endoftext|> among them
  std::int64_t width = 512;
  std::int64_t depth = 12;
  std::int64_t heads = 8;
  std::int64_t mlp = 2048;
};

/// The sizes of a CLIP whose image tower is a ViT; those of ViT-B/32 by default. The `config.json` of its model folder.
struct ClipConfig {
  std::int64_t embed = 512;  ///< E, width of the space that pictures and texts share
  ClipImageConfig image;
  ClipTextConfig text;
  Activation activation = Activation::quick_gelu;  ///< or gelu, as some who trained CLIP anew have it
  float eps = 1e-5f;                               ///< of every LayerNorm

  static ClipConfig from_json(const JsonReader& json);
  nlohmann::json to_json() const;
};

/// CLIP's image tower (Radford et al. 2021), a ViT with a LayerNorm before its blocks. Parameters have OpenAI's names:
/// `conv1.weight`, `class_embedding`, `positional_embedding`, `ln_pre`, `transformer.resblocks.N.…`, `ln_post`, and
/// `proj` [width, E], below `scope`, which is `visual` of a whole model.
class ClipImageTower {
 public:
  ClipImageTower(Backend& backend, const Scope& scope, const ClipConfig& config);

  /// pixels [B, 3, S, S], normalised → the residual stream after the last block [B, 1 + N, width], class token first.
  /// Probes `conv1`, `embed`, `ln_pre`, `blockN.attn_out`, `blockN.mlp_out` and `blockN`.
  Value tokens(const Value& pixels, const Probe& probe = {}) const;
  /// pixels → features [B, E], not normalised: proj(LN(class token)). Probes also `ln_post_cls` [B, width].
  Value features(const Value& pixels, const Probe& probe = {}) const;

 private:
  Backend* backend_;
  PatchEmbedding embedding_;
  LayerNorm ln_pre_, ln_post_;
  std::vector<PreNormBlock> blocks_;
  Packed proj_;
};

/// CLIP's text tower, a causal transformer. Parameters at the top of OpenAI's files: `token_embedding.weight`,
/// `positional_embedding`, `transformer.resblocks.N.…`, `ln_final`, and `text_projection` [width, E].
class ClipTextTower {
 public:
  ClipTextTower(Backend& backend, const Scope& scope, const ClipConfig& config);

  /// ids i64 [B, L] → features [B, E], not normalised: those of the first of a row's largest ids, <|endoftext|>. L is
  /// at most config.text.length, and may as well be that of the longest text, as nothing behind <|endoftext|> has an
  /// influence. Probes `token_embedding`, `blockN.attn_out`, `blockN.mlp_out`, `blockN` and `ln_final`, all [B, L,
  /// width].
  Value features(const HostTensor& ids, const Probe& probe = {}) const;

 private:
  Backend* backend_;
  std::int64_t length_;
  Embedding token_embedding_;
  Value positions_;
  std::vector<PreNormBlock> blocks_;
  LayerNorm ln_final_;
  Packed proj_;
};

}  // namespace capdiff
