#include "capdiff/training/language_model.h"

#include "capdiff/base/philox.h"
#include "capdiff/training/random_streams.h"

namespace capdiff {
namespace {

struct MaskedBatch final : Batch {
  TokenBatch tokens;                    ///< with masks in place
  std::vector<std::int64_t> positions;  ///< flat indices into [B · L] of the chosen pieces
  std::vector<std::int64_t> targets;    ///< what stood there
};

}  // namespace

LanguageModelObjective::LanguageModelObjective(TorchBackend& backend, const ParameterStore& parameters,
                                               const SplitBertConfig& config, const EncodedCaptions& captions,
                                               const Vocabulary& vocabulary, double mask_probability,
                                               std::uint64_t seed)
    : backend_(&backend),
      captions_(&captions),
      vocabulary_(&vocabulary),
      mask_probability_(mask_probability),
      seed_(seed),
      embeddings_(backend, Scope(parameters) / "space_encoder" / "embeddings", config.bert),
      lower_(backend, Scope(parameters) / "space_encoder", config.bert, 0, config.encoder_layers),
      upper_(backend, Scope(parameters) / "space_decoder", config.bert, config.encoder_layers,
             config.encoder_layers + config.decoder_layers),
      lm_head_(backend, Scope(parameters) / "lm_head", config.bert) {}

std::unique_ptr<Batch> LanguageModelObjective::prepare(std::span<const Sample> samples) const {
  std::vector<std::int64_t> indices;
  for (const Sample& sample : samples) indices.push_back(sample.item);
  auto batch = std::make_unique<MaskedBatch>();
  batch->tokens = captions_->batch(indices);
  const auto ids = batch->tokens.ids.mutable_values<std::int64_t>();
  const std::int64_t length = captions_->length();
  for (std::size_t row = 0; row < samples.size(); ++row) {
    RandomStream random(seed_, static_cast<std::uint32_t>(RandomPurpose::masking), samples[row].draw);
    std::vector<std::size_t> words;
    for (std::int64_t l = 0; l < length; ++l) {
      const std::size_t at = row * static_cast<std::size_t>(length) + static_cast<std::size_t>(l);
      if (ids[at] != vocabulary_->cls() && ids[at] != vocabulary_->sep() && ids[at] != vocabulary_->pad())
        words.push_back(at);
    }
    // A caption without a chosen piece would teach nothing: one is always chosen.
    const std::size_t certain = static_cast<std::size_t>(random.below(words.size()));
    for (std::size_t w = 0; w < words.size(); ++w) {
      const bool chosen = random.uniform() < mask_probability_ || w == certain;
      const double kind = random.uniform();
      const auto other = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(vocabulary_->size())));
      if (!chosen) continue;
      batch->positions.push_back(static_cast<std::int64_t>(words[w]));
      batch->targets.push_back(ids[words[w]]);
      if (kind < 0.8)
        ids[words[w]] = vocabulary_->mask();
      else if (kind < 0.9)
        ids[words[w]] = other;
    }
  }
  return batch;
}

StepLosses LanguageModelObjective::losses(const Batch& batch) {
  const auto& masked = static_cast<const MaskedBatch&>(batch);
  TorchBackend& b = *backend_;
  const auto count = static_cast<std::int64_t>(masked.positions.size());
  const Value mask = b.upload(masked.tokens.mask);
  const Value hidden = upper_(lower_(embeddings_(b.upload(masked.tokens.ids)), mask), mask);
  const std::int64_t width = hidden.shape()[2];
  const Value chosen =
      b.gather(b.reshape(hidden, {hidden.shape().rows(), width}), b.upload(HostTensor::of({count}, masked.positions)));
  const Value loss = b.cross_entropy(lm_head_(chosen), b.upload(HostTensor::of({count}, masked.targets)));
  const torch::Tensor total = TorchBackend::tensor(loss);
  return {total, {{"masked_loss", total.detach()}}, static_cast<double>(count)};
}

}  // namespace capdiff
