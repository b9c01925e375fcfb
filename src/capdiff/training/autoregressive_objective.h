#pragma once

#include <cstdint>
#include <vector>

#include "capdiff/captioners/autoregressive_model.h"
#include "capdiff/training/caption_tokens.h"
#include "capdiff/training/captioned_photos.h"
#include "capdiff/training/objective.h"
#include "capdiff/training/photo_features.h"

namespace capdiff {

struct AutoregressiveTrainingOptions {
  std::int64_t captions_per_photo = 5;  ///< captions of each photo in a batch
  std::uint64_t seed = 0;
};

/// What one step of training works on: P photos with C captions each, photo-major.
struct AutoregressiveBatch final : Batch {
  HostTensor patches;  ///< f32 [P, N, Dv]
  HostTensor ids;      ///< i64 [P · C, L]
  HostTensor targets;  ///< i64 [P · C, L], −1 where nothing is learnt
};

/// The loss of a batch, with the history of everything that learns.
StepLosses autoregressive_losses(TorchBackend& backend, const AutoregressiveModel& model,
                                 const AutoregressiveBatch& batch);

/// Training from left to right: cross-entropy of the next token with label smoothing, prompt and padding left out, as
/// BLIP is fine-tuned (Li et al., arXiv 2201.12086). Photos are known as a frozen image encoder sees them.
class AutoregressiveObjective final : public Objective {
 public:
  /// `prompt` is the number of tokens that captions begin with and nobody learns. `features` and `captions` must
  /// outlive the objective.
  AutoregressiveObjective(TorchBackend& backend, const AutoregressiveModel& model, const PhotoFeatures& features,
                          std::vector<CaptionedPhoto> items, const EncodedCaptions& captions, std::int64_t prompt,
                          const AutoregressiveTrainingOptions& options)
      : backend_(&backend),
        model_(&model),
        features_(&features),
        items_(std::move(items)),
        captions_(&captions),
        prompt_(prompt),
        options_(options) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(items_.size()); }
  std::unique_ptr<Batch> prepare(std::span<const Sample> samples) const override;
  StepLosses losses(const Batch& batch) override {
    return autoregressive_losses(*backend_, *model_, static_cast<const AutoregressiveBatch&>(batch));
  }

 private:
  TorchBackend* backend_;
  const AutoregressiveModel* model_;
  const PhotoFeatures* features_;
  std::vector<CaptionedPhoto> items_;
  const EncodedCaptions* captions_;
  std::int64_t prompt_;
  AutoregressiveTrainingOptions options_;
};

}  // namespace capdiff
