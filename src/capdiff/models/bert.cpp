#include "capdiff/models/bert.h"

namespace capdiff {

BertEmbeddings::BertEmbeddings(Backend& backend, const Scope& scope, const BertConfig& config)
    : backend_(&backend),
      word_(backend, scope / "word_embeddings", config.vocab_size, config.hidden, config.init()),
      position_(backend, scope / "position_embeddings", config.max_position, config.hidden, config.init()),
      norm_(backend, scope / "LayerNorm", config.hidden, config.eps),
      dropout_(config.dropout) {
  if (config.type_vocab > 0)
    token_type_.emplace(backend, scope / "token_type_embeddings", config.type_vocab, config.hidden, config.init());
}

Value BertEmbeddings::operator()(const Value& ids, std::int64_t first) const {
  Value place = backend_->slice(position_.table(), 0, first, first + ids.shape()[1]);
  if (token_type_) place = backend_->add(place, token_type_->rows(1));
  return backend_->dropout(norm_(backend_->add(word_(ids), place)), dropout_);
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

LmHead::LmHead(Backend& backend, const Scope& scope, const BertConfig& config, const std::optional<Parameter>& tied)
    : backend_(&backend),
      dense_(backend, scope / "predictions" / "transform" / "dense", config.hidden, config.hidden, config.init()),
      norm_(backend, scope / "predictions" / "transform" / "LayerNorm", config.hidden, config.eps) {
  const Scope predictions = scope / "predictions";
  const Parameter weight =
      tied ? *tied : (predictions / "decoder").get("weight", {config.vocab_size, config.hidden}, config.init());
  const Parameter bias = predictions.get("bias", {config.vocab_size}, Init::zeros());
  decoder_ = backend.bind_linear({&weight, 1}, {&bias, 1});
}

Value LmHead::operator()(const Value& h, const Probe& probe) const {
  const Value transformed = norm_(dense_(h, Activation::gelu));
  if (probe) probe("head_transform", transformed);
  return backend_->linear(transformed, decoder_);
}

}  // namespace capdiff
