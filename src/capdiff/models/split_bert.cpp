#include "capdiff/models/split_bert.h"

#include <array>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

Parameter inverse(const Parameter& deviation) {
  HostTensor result(DType::f32, deviation.value.shape());
  const HostTensor source = deviation.value.to(DType::f32);
  const auto in = source.values<float>();
  auto out = result.mutable_values<float>();
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (in[i] <= 0.0f)
      fail(ErrorCode::invalid_model, "{}: the deviation of feature {} is {}, which is not positive", deviation.name, i,
           in[i]);
    out[i] = 1.0f / in[i];
  }
  return {deviation.name + ".inverse", std::move(result)};
}

}  // namespace

SplitBert::SplitBert(Backend& backend, const Scope& scope, const Scope& statistics, const SplitBertConfig& config,
                     const SpecialIds& ids, bool with_encoder)
    : backend_(&backend),
      config_(config),
      ids_(ids),
      upper_(backend, scope / "space_decoder", config.bert, config.encoder_layers,
             config.encoder_layers + config.decoder_layers),
      lm_head_(backend, scope / "lm_head", config.bert) {
  const Parameter mean = statistics.get("mean", {config.bert.hidden}, Init::zeros());
  const Parameter deviation = statistics.get("std", {config.bert.hidden}, Init::ones());
  mean_ = backend.upload(mean.value);
  std_ = backend.upload(deviation.value);
  inverse_std_ = backend.upload(inverse(deviation).value);
  empty_ = backend.upload(HostTensor(DType::f32, {config.bert.hidden}));
  if (with_encoder) load_encoder(scope);
}

void SplitBert::load_encoder(const Scope& scope) {
  if (embeddings_) return;
  const Scope encoder = scope / "space_encoder";
  BertConfig bert = config_.bert;
  bert.dropout = config_.target_dropout;
  lower_.emplace(*backend_, encoder, bert, 0, config_.encoder_layers);
  embeddings_.emplace(*backend_, encoder / "embeddings", bert);
  if (config_.special_latent == SpecialLatent::dot) empty_ = dot_latent();
}

Value SplitBert::hidden(const TokenBatch& captions) const {
  if (!embeddings_) fail(ErrorCode::internal, "[split_bert] the text encoder was not loaded");
  return (*lower_)((*embeddings_)(backend_->upload(captions.ids)), backend_->upload(captions.mask));
}

Value SplitBert::encode(const TokenBatch& captions) const {
  const Value centred = backend_->scale_add(1.0f, hidden(captions), -1.0f, mean_);
  const Value normalised = backend_->mul(centred, inverse_std_);
  if (config_.special_latent == SpecialLatent::kept) return normalised;
  return backend_->select(backend_->upload(special_positions(captions)), empty_, normalised);
}

Value SplitBert::logits(const Value& x0) const {
  return lm_head_(upper_(backend_->add(backend_->mul(x0, std_), mean_)));
}

Value SplitBert::dot_latent() const {
  const TokenBatch dot{HostTensor::of({1, 3}, std::array<std::int64_t, 3>{ids_.cls, ids_.dot, ids_.sep}),
                       HostTensor::of({1, 3}, {1.0f, 1.0f, 1.0f})};
  return backend_->reshape(backend_->slice(hidden(dot), 1, 1, 2), {width()});
}

HostTensor special_positions(const TokenBatch& captions) {
  const std::int64_t batch = captions.mask.shape()[0], length = captions.mask.shape()[1];
  HostTensor special(DType::f32, {batch, length, 1});
  const auto mask = captions.mask.values<float>();
  auto out = special.mutable_values<float>();
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t l = 0; l < length; ++l) {
      // A word is a kept position that is neither the first nor the last kept one.
      const std::size_t at = static_cast<std::size_t>(b * length + l);
      const bool word = l > 0 && l + 1 < length && mask[at] != 0.0f && mask[at + 1] != 0.0f;
      out[at] = word ? 0.0f : 1.0f;
    }
  }
  return special;
}

}  // namespace capdiff
