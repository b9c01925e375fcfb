#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "capdiff/nn/layers.h"
#include "capdiff/nn/probe.h"

namespace capdiff {

/// Keys and values of one attention layer, [B, N, width] each: of cross-attention, computed once per image, or of the
/// positions that a causal layer has seen so far.
struct KeyValue {
  Value key, value;
};

/// One run of rows of a batch that share a source of keys and values. With guidance the batch holds the conditional
/// rows first and the unconditional rows behind them; each part has its own KeyValue.
struct CrossSegment {
  std::int64_t rows = 0;  ///< rows of the batch that this segment serves
  const KeyValue* key_value = nullptr;
};

struct PostNormBlockConfig {
  std::int64_t width = 768;
  std::int64_t heads = 12;
  std::int64_t intermediate = 3072;
  float eps = 1e-12f;
  float dropout = 0.0f;          ///< on probabilities and on each sub-layer's output, while training
  float init_std = kInitStd;     ///< of matrices that no file provides
  std::int64_t cross_width = 0;  ///< width of the tokens attended to; 0 leaves cross-attention out
  bool causal = false;           ///< position i sees positions 0..i only
};

/// A BERT layer: self-attention, optional cross-attention, feed-forward, each followed by LN(x + ·). Parameter names
/// are BERT's: `attention.self.query`, `attention.output.LayerNorm`, `crossattention.…`, `intermediate.dense`,
/// `output.dense`.
class PostNormBlock {
 public:
  PostNormBlock(Backend& backend, const Scope& scope, const PostNormBlockConfig& config);

  /// x [B, L, width]; key_mask as in AttentionOptions, may be empty; `cross` must be empty without cross-attention, and
  /// its rows must add up to B with it. Probes `self_attn` and `cross_attn`: what the sub-layers make of x.
  Value operator()(const Value& x, const Value& key_mask, std::span<const CrossSegment> cross = {},
                   const Probe& probe = {}) const;
  /// The same of a causal layer for positions behind those in `past`, which then has these too: n of them where it was
  /// empty, else one. x [B, n, width] → [B, n, width].
  Value extend(const Value& x, KeyValue& past, std::span<const CrossSegment> cross = {}) const;

  /// Keys and values of tokens [B, N, cross_width].
  KeyValue cross_key_value(const Value& tokens) const;

 private:
  /// What follows attention: `context` is what x attends to.
  Value behind_attention(const Value& x, const Value& context, std::span<const CrossSegment> cross,
                         const Probe& probe) const;
  Value cross_attention(const Value& x, std::span<const CrossSegment> cross) const;

  Backend* backend_;
  PostNormBlockConfig config_;
  Linear qkv_, attention_output_;
  LayerNorm attention_norm_;
  Linear cross_query_, cross_key_value_, cross_output_;
  LayerNorm cross_norm_;
  Linear intermediate_, output_;
  LayerNorm output_norm_;
};

/// What the parameters of a PreNormBlock are called, below the block itself. `qkv` is the beginning of two whole names.
struct PreNormBlockNames {
  std::string_view norm1, qkv, proj, norm2, fc1, fc2;

  static constexpr PreNormBlockNames timm() {
    return {"norm1", "attn.qkv.", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"};
  }
  static constexpr PreNormBlockNames clip() {
    return {"ln_1", "attn.in_proj_", "attn.out_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"};
  }
};

struct PreNormBlockConfig {
  std::int64_t width = 768;
  std::int64_t heads = 12;
  std::int64_t mlp = 3072;
  float eps = 1e-6f;
  Activation activation = Activation::gelu;
  float init_std = kInitStd;
  bool causal = false;  ///< position i sees positions 0..i only
  PreNormBlockNames names = PreNormBlockNames::timm();
};

/// A block of ViT or CLIP: x += proj(attention(LN1(x))); x += fc2(activation(fc1(LN2(x)))).
class PreNormBlock {
 public:
  PreNormBlock(Backend& backend, const Scope& scope, const PreNormBlockConfig& config);

  /// x [B, N, width] → [B, N, width]. Probes `attn_out` and `mlp_out`: what both branches add to x.
  Value operator()(const Value& x, const Probe& probe = {}) const;

 private:
  Backend* backend_;
  PreNormBlockConfig config_;
  LayerNorm norm1_, norm2_;
  Linear qkv_, proj_, fc1_, fc2_;
};

}  // namespace capdiff
