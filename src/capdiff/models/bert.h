#pragma once

#include <optional>
#include <vector>

#include "capdiff/nn/transformer.h"

namespace capdiff {

struct BertConfig {
  std::int64_t vocab_size = 30522;
  std::int64_t hidden = 768;
  std::int64_t layers = 12;
  std::int64_t heads = 12;
  std::int64_t intermediate = 3072;
  std::int64_t max_position = 512;
  std::int64_t type_vocab = 2;  ///< 0: no embedding of token types
  float eps = 1e-12f;
  float dropout = 0.0f;
  float init_std = kInitStd;

  PostNormBlockConfig block() const { return {hidden, heads, intermediate, eps, dropout, init_std, 0}; }
  Init init() const { return Init::normal(init_std); }
};

/// word + token type 0, where there are types, + position, then LayerNorm. Parameters under `embeddings`.
class BertEmbeddings {
 public:
  BertEmbeddings(Backend& backend, const Scope& scope, const BertConfig& config);

  /// ids i64 [B, L], the tokens of positions first, first + 1, … → [B, L, hidden]
  Value operator()(const Value& ids, std::int64_t first = 0) const;

 private:
  Backend* backend_;
  Embedding word_, position_;
  std::optional<Embedding> token_type_;
  LayerNorm norm_;
  float dropout_;
};

/// Layers [first, last) of `encoder.layer`.
class BertLayers {
 public:
  BertLayers(Backend& backend, const Scope& scope, const BertConfig& config, std::int64_t first, std::int64_t last);

  /// x [B, L, hidden]; key_mask f32 [B, L] with 0 on padding, or empty.
  Value operator()(Value x, const Value& key_mask = {}) const;

 private:
  std::vector<PostNormBlock> layers_;
};

/// BERT's masked-language-model head: decoder(LN(gelu(dense(h)))) + bias. Parameters under `predictions`.
class LmHead {
 public:
  /// The decoder's weight is `tied`, such as a table of words, or a parameter of its own.
  LmHead(Backend& backend, const Scope& scope, const BertConfig& config,
         const std::optional<Parameter>& tied = std::nullopt);

  /// h […, hidden] → logits […, vocab]. Probe `head_transform`: what the decoder is given.
  Value operator()(const Value& h, const Probe& probe = {}) const;

 private:
  Backend* backend_;
  Linear dense_;
  LayerNorm norm_;
  Packed decoder_;
};

}  // namespace capdiff
