#include "capdiff/models/bert.h"

namespace capdiff {

BertEmbeddings::BertEmbeddings(Backend& backend, const Scope& scope, const BertConfig& config)
    : backend_(&backend),
      word_(backend, scope / "word_embeddings", config.vocab_size, config.hidden, config.init()),
      position_(backend, scope / "position_embeddings", config.max_position, config.hidden, config.init()),
      token_type_(backend, scope / "token_type_embeddings", config.type_vocab, config.hidden, config.init()),
      norm_(backend, scope / "LayerNorm", config.hidden, config.eps),
      dropout_(config.dropout) {}

Value BertEmbeddings::operator()(const Value& ids) const {
  const Value position_and_type = backend_->add(position_.rows(ids.shape()[1]), token_type_.rows(1));
  return backend_->dropout(norm_(backend_->add(word_(ids), position_and_type)), dropout_);
}

BertLayers::BertLayers(Backend& backend, const Scope& scope, const BertConfig& config, std::int64_t first,
                       std::int64_t last) {
  for (std::int64_t i = first; i < last; ++i)
    layers_.emplace_back(backend, scope / "encoder" / "layer" / i, config.block());
}

Value BertLayers::operator()(Value x, const Value& key_mask) const {
  for (const PostNormBlock& layer : layers_) x = layer(x, key_mask);
  return x;
}

LmHead::LmHead(Backend& backend, const Scope& scope, const BertConfig& config)
    : backend_(&backend),
      dense_(backend, scope / "predictions" / "transform" / "dense", config.hidden, config.hidden, config.init()),
      norm_(backend, scope / "predictions" / "transform" / "LayerNorm", config.hidden, config.eps) {
  const Scope predictions = scope / "predictions";
  const Parameter weight = (predictions / "decoder").get("weight", {config.vocab_size, config.hidden}, config.init());
  const Parameter bias = predictions.get("bias", {config.vocab_size}, Init::zeros());
  decoder_ = backend.bind_linear({&weight, 1}, {&bias, 1});
}

Value LmHead::operator()(const Value& h) const {
  return backend_->linear(norm_(dense_(h, Activation::gelu)), decoder_);
}

}  // namespace capdiff
