#include "capdiff/models/caption_decoder.h"

#include <fmt/format.h>

#include <array>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

LmHead decoder_head(Backend& backend, const Scope& scope, const CaptionDecoderConfig& config) {
  const BertConfig& bert = config.bert;
  if (!config.tied) return {backend, scope / "cls", bert};
  return {
      backend, scope / "cls", bert,
      (scope / "bert" / "embeddings" / "word_embeddings").get("weight", {bert.vocab_size, bert.hidden}, bert.init())};
}

}  // namespace

CaptionDecoder::CaptionDecoder(Backend& backend, const Scope& scope, const CaptionDecoderConfig& config)
    : backend_(&backend),
      config_(config),
      embeddings_(backend, scope / "bert" / "embeddings", config.bert),
      head_(decoder_head(backend, scope, config)) {
  PostNormBlockConfig block = config.bert.block();
  block.cross_width = config.encoder_width;
  block.causal = true;
  for (std::int64_t i = 0; i < config.bert.layers; ++i)
    layers_.emplace_back(backend, scope / "bert" / "encoder" / "layer" / i, block);
}

std::vector<KeyValue> CaptionDecoder::image(const Value& tokens) const {
  std::vector<KeyValue> layers;
  for (const PostNormBlock& layer : layers_) layers.push_back(layer.cross_key_value(tokens));
  return layers;
}

Value CaptionDecoder::operator()(const Value& ids, const Value& key_mask, std::span<const KeyValue> image,
                                 const Probe& probe) const {
  Value x = embeddings_(ids);
  if (probe) probe("embeddings", x);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const std::string name = fmt::format("layer{}", i);
    Probe of_layer;
    if (probe)
      of_layer = [&](std::string_view part, const Value& value) { probe(fmt::format("{}.{}", name, part), value); };
    x = layers_[i](x, key_mask, std::array{CrossSegment{ids.shape()[0], &image[i]}}, of_layer);
    if (probe) probe(name, x);
  }
  return head_(x, probe);
}

CaptionDecoder::Written CaptionDecoder::Written::gather(Backend& backend, const Value& indices) const {
  Written chosen{length, {}};
  for (const KeyValue& layer : layers)
    chosen.layers.push_back({backend.gather(layer.key, indices), backend.gather(layer.value, indices)});
  return chosen;
}

Value CaptionDecoder::extend(const Value& ids, Written& written, std::span<const KeyValue> image) const {
  const std::int64_t rows = ids.shape()[0], count = ids.shape()[1];
  if (written.length + count > config_.bert.max_position)
    fail(ErrorCode::internal, "[extend] {} positions, of {} that the decoder has", written.length + count,
         config_.bert.max_position);
  written.layers.resize(layers_.size());
  Value x = embeddings_(ids, written.length);
  for (std::size_t i = 0; i < layers_.size(); ++i)
    x = layers_[i].extend(x, written.layers[i], std::array{CrossSegment{rows, &image[i]}});
  written.length += count;
  return head_(backend_->reshape(backend_->slice(x, 1, count - 1, count), {rows, config_.bert.hidden}));
}

Value CaptionDecoder::loss(const HostTensor& ids, const HostTensor& targets, std::span<const KeyValue> image,
                           float smoothing) const {
  const std::int64_t last = ids.shape()[1] - 1;
  // Padding stands behind everything that is learnt, where nothing sees it.
  const Value said = backend_->slice((*this)(backend_->upload(ids), {}, image), 1, 0, last);
  return backend_->cross_entropy(said, backend_->slice(backend_->upload(targets), 1, 1, last + 1), smoothing);
}

}  // namespace capdiff
