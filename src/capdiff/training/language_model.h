#pragma once

#include "capdiff/models/split_bert.h"
#include "capdiff/training/caption_tokens.h"
#include "capdiff/training/objective.h"

namespace capdiff {

/// BERT's masked-language-model training on captions: of the words' pieces a share is chosen; 80 % of these become
/// [MASK], 10 % a random piece, 10 % stay; the loss is the cross-entropy at the chosen positions.
class LanguageModelObjective final : public Objective {
 public:
  /// The lower half, the upper half and the head get the names that LaDiC later reads them under.
  LanguageModelObjective(TorchBackend& backend, const ParameterStore& parameters, const SplitBertConfig& config,
                         const EncodedCaptions& captions, const Vocabulary& vocabulary, double mask_probability,
                         std::uint64_t seed);

  std::int64_t size() const override { return captions_->size(); }
  std::unique_ptr<Batch> prepare(std::span<const Sample> samples) const override;
  StepLosses losses(const Batch& batch) override;

 private:
  TorchBackend* backend_;
  const EncodedCaptions* captions_;
  const Vocabulary* vocabulary_;
  double mask_probability_;
  std::uint64_t seed_;
  BertEmbeddings embeddings_;
  BertLayers lower_, upper_;
  LmHead lm_head_;
};

}  // namespace capdiff
