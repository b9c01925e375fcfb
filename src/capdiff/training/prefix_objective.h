#pragma once

#include <cstdint>
#include <vector>

#include "capdiff/captioners/prefix_model.h"
#include "capdiff/training/caption_tokens.h"
#include "capdiff/training/captioned_photos.h"
#include "capdiff/training/image_features.h"
#include "capdiff/training/objective.h"

namespace capdiff {

struct PrefixTrainingOptions {
  double image_drop = 0.0;  ///< share of captions whose photo is replaced by nothing, for guidance
  std::uint64_t seed = 0;
};

/// What one step of training works on: B captions.
struct PrefixBatch final : Batch {
  HostTensor features;  ///< f32 [B, F], 0 where the photo is dropped
  HostTensor ids;       ///< i64 [B, L]
  PrefixModel::Noise noise;
};

/// The losses of a batch, with the history of everything that learns.
StepLosses prefix_losses(TorchBackend& backend, const PrefixModel& model, const PrefixBatch& batch);

/// Prefix-diffusion's training (Liu et al., arXiv 2309.04965, section 3): `PrefixModel::losses` with t uniform. As in
/// the released code, every caption is a sample of its own, padding among what is learnt. Photos are known by the
/// features of a frozen image tower.
class PrefixObjective final : public Objective {
 public:
  /// `items` are places in `features` and in `captions`. All must outlive the objective.
  PrefixObjective(TorchBackend& backend, const PrefixModel& model, const ImageFeatures& features,
                  std::span<const CaptionedPhoto> items, const EncodedCaptions& captions,
                  const PrefixTrainingOptions& options);

  std::int64_t size() const override { return static_cast<std::int64_t>(items_.size()); }
  std::unique_ptr<Batch> prepare(std::span<const Sample> samples) const override;
  StepLosses losses(const Batch& batch) override {
    return prefix_losses(*backend_, *model_, static_cast<const PrefixBatch&>(batch));
  }

 private:
  struct Item {
    std::int64_t photo = 0, caption = 0;
  };

  TorchBackend* backend_;
  const PrefixModel* model_;
  const ImageFeatures* features_;
  std::vector<Item> items_;
  const EncodedCaptions* captions_;
  PrefixTrainingOptions options_;
};

}  // namespace capdiff
