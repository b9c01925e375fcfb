#pragma once

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
  std::int64_t type_vocab = 2;
  float eps = 1e-12f;
  float dropout = 0.0f;
  float init_std = kInitStd;

  PostNormBlockConfig block() const { return {hidden, heads, intermediate, eps, dropout, init_std, 0}; }
  Init init() const { return Init::normal(init_std); }
};

/// word + token type 0 + position, then LayerNorm. Parameters under `embeddings`.
class BertEmbeddings {
 public:
  BertEmbeddings(Backend& backend, const Scope& scope, const BertConfig& config);

  /// ids i64 [B, L] → [B, L, hidden]
  Value operator()(const Value& ids) const;

 private:
  Backend* backend_;
  Embedding word_, position_, token_type_;
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
  LmHead(Backend& backend, const Scope& scope, const BertConfig& config);

  /// h […, hidden] → logits […, vocab]
  Value operator()(const Value& h) const;

 private:
  Backend* backend_;
  Linear dense_;
  LayerNorm norm_;
  Packed decoder_;
};

}  // namespace capdiff
