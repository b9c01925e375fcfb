#pragma once

#include <optional>
#include <vector>

#include "capdiff/captioners/ladic_model.h"
#include "capdiff/data/photo_store.h"
#include "capdiff/image/augment.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/training/caption_tokens.h"
#include "capdiff/training/captioned_photos.h"
#include "capdiff/training/objective.h"
#include "capdiff/training/photo_features.h"

namespace capdiff {

struct LadicTrainingOptions {
  std::int64_t captions_per_photo = 5;  ///< captions of each photo in a batch; the photo is encoded once for all
  double image_drop = 0.1;              ///< share of photos replaced by nothing, for guidance
  double self_condition = 0.5;          ///< share of photos whose captions see a first estimate
  bool train_image_encoder = false;
  /// Learn the latent space of text along with the diffuser, from a rounding loss: the caption loss of x0 itself.
  bool train_text = false;
  /// Samples of the run during which the image encoder stays as it is even so: until the diffuser has learnt something,
  /// its gradients would only spoil what the encoder knows.
  std::uint64_t frozen_image_encoder_samples = 0;
  std::optional<AugmentOptions> augment = AugmentOptions{};  ///< none: photos are only resized
  std::uint64_t seed = 0;
};

/// What one step of training works on: P photos with C captions each, photo-major.
struct LadicBatch final : Batch {
  HostTensor pixels;                           ///< [P, 3, S, S], zero where the photo is dropped; empty without photos
  HostTensor patches, pooled;                  ///< instead of pixels, where the encoder's output is known
  std::int64_t captions_per_photo = 1;         ///< C
  TokenBatch captions;                         ///< [P · C, L]
  HostTensor latents;                          ///< x0 [P · C, L, D], where it is known
  HostTensor noise;                            ///< ε [P · C, L, D]
  HostTensor time;                             ///< t i64 [P · C]
  std::vector<std::int64_t> self_conditioned;  ///< photos whose captions see a first estimate
  std::vector<std::int64_t> others;
  bool train_image_encoder = false;
  bool train_text = false;
};

/// The losses of a batch, with the history of everything that learns.
StepLosses ladic_losses(TorchBackend& backend, const LadicModel& model, const LadicBatch& batch);

/// LaDiC's training (paper section 4.4): x_t = √ᾱ x0 + F √(1 − ᾱ) ε with t uniform, x̂0 from the diffuser under dropped
/// photos and self-conditioning, latent loss + λ caption loss. Which parameters learn is the backend's business.
///
/// Without photos it is the training of the diffuser alone, on text: every caption sees one image token of zeros, which
/// tells as little as the picture that guidance calls nothing.
class LadicObjective final : public Objective {
 public:
  /// `photos` may be null: then the photos that `items` name do not matter. With `features` they are not looked at:
  /// they are known as a frozen encoder sees them, without augmentation. `latents`, if not null, are those of all
  /// `captions`, as `caption_latents` gives them.
  LadicObjective(TorchBackend& backend, const LadicModel& model, const Preprocessor& preprocessor,
                 const PhotoStore* photos, std::vector<CaptionedPhoto> items, const EncodedCaptions& captions,
                 const LadicTrainingOptions& options, const PhotoFeatures* features = nullptr,
                 const HostTensor* latents = nullptr);

  std::int64_t size() const override { return static_cast<std::int64_t>(items_.size()); }
  std::unique_ptr<Batch> prepare(std::span<const Sample> samples) const override;
  StepLosses losses(const Batch& batch) override {
    return ladic_losses(*backend_, *model_, static_cast<const LadicBatch&>(batch));
  }

 private:
  /// What photo number `i` of a batch looks like, or nothing where it is dropped.
  void write_photo(LadicBatch& batch, std::size_t i, const Sample& sample) const;

  TorchBackend* backend_;
  const LadicModel* model_;
  Preprocessor preprocessor_;
  const PhotoStore* photos_;
  const PhotoFeatures* features_;
  const HostTensor* latents_;
  std::vector<CaptionedPhoto> items_;
  const EncodedCaptions* captions_;
  LadicTrainingOptions options_;
};

}  // namespace capdiff
