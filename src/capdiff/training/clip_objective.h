#pragma once

#include <optional>
#include <vector>

#include "capdiff/models/clip.h"
#include "capdiff/training/ladic_objective.h"

namespace capdiff {

/// A CLIP in training: both towers, and the scale of its cosines as the parameter `logit_scale`, a logarithm.
class ClipModel {
 public:
  /// `config.encoder` must be there, and the texts must be WordPieces.
  ClipModel(TorchBackend& backend, const ParameterStore& parameters, const ClipConfig& config);

  const EncoderTower& image_tower() const { return image_tower_; }
  /// Unit vectors [B, E] of what the encoder says about B pictures, `pooled` [B, width].
  Value image_features(const Value& pooled) const;
  /// Unit vectors [B, E] of texts, each of which ends with the last 1 of its mask.
  Value text_features(const TokenBatch& texts) const;
  /// What cosines are multiplied by: a scalar of at most 100, with history.
  torch::Tensor scale() const;

 private:
  TorchBackend* backend_;
  EncoderTower image_tower_;
  ClipTextTower text_tower_;
  Value logit_scale_;
};

struct ClipTrainingOptions {
  bool train_image_encoder = false;
  double word_drop = 0.0;                                    ///< share of the pieces of a caption that become [MASK]
  std::optional<AugmentOptions> augment = AugmentOptions{};  ///< none: photos are only resized
  std::uint64_t seed = 0;
};

/// P photos with one caption each.
struct ClipBatch final : Batch {
  HostTensor pixels;                ///< [P, 3, S, S]; or, where the encoder's output is known,
  HostTensor pooled;                ///< [P, Dv]
  TokenBatch captions;              ///< [P, L]
  std::vector<std::int64_t> items;  ///< which photo of the training set each is
  bool train_image_encoder = false;
};

/// CLIP's training (Radford et al. 2021, figure 3): the cross-entropy of the caption of each photo among the captions
/// of the batch, and of the photo of each caption among the photos, in equal parts. A photo that is twice in a batch,
/// as happens where two epochs meet, is not held against itself. Where several ranks share a step, each contrasts its
/// own part only.
StepLosses clip_losses(TorchBackend& backend, const ClipModel& model, const ClipBatch& batch);

class ClipObjective final : public Objective {
 public:
  /// With `features` the photos are not looked at: they are known as a frozen encoder sees them. All must outlive the
  /// objective.
  ClipObjective(TorchBackend& backend, const ClipModel& model, const Preprocessor& preprocessor,
                const PhotoStore& photos, std::vector<CaptionedPhoto> items, const EncodedCaptions& captions,
                const Vocabulary& vocabulary, const ClipTrainingOptions& options,
                const PhotoFeatures* features = nullptr);

  std::int64_t size() const override { return static_cast<std::int64_t>(items_.size()); }
  std::unique_ptr<Batch> prepare(std::span<const Sample> samples) const override;
  StepLosses losses(const Batch& batch) override {
    return clip_losses(*backend_, *model_, static_cast<const ClipBatch&>(batch));
  }

 private:
  void write_photo(ClipBatch& batch, std::size_t row, const Sample& sample) const;
  void drop_words(ClipBatch& batch, std::size_t row, const Sample& sample) const;

  TorchBackend* backend_;
  const ClipModel* model_;
  Preprocessor preprocessor_;
  const PhotoStore* photos_;
  const PhotoFeatures* features_;
  std::vector<CaptionedPhoto> items_;
  const EncodedCaptions* captions_;
  const Vocabulary* vocabulary_;
  ClipTrainingOptions options_;
};

}  // namespace capdiff
