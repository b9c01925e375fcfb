#pragma once

#include "capdiff/data/photo_store.h"
#include "capdiff/image/augment.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/models/image_encoders.h"
#include "capdiff/training/objective.h"
#include "capdiff/training/teacher.h"

namespace capdiff {

/// What the teacher sees in every photo, computed once: its grid and its hints over the whole photo, each reduced to
/// the principal components of its channels and scaled to unit variance. The target of any crop is read from them by
/// bilinear interpolation, so the teacher never runs inside the training loop.
class TeacherGrids {
 public:
  /// Photos are shown to the teacher at `side` × `side` pixels, a multiple of 32. At most `components` channels of the
  /// grid and `hint_components` of every hint are kept; none of the hints if that is 0.
  TeacherGrids(TorchBackend& backend, const Teacher& teacher, const PhotoStore& photos, int side,
               std::int64_t components, std::int64_t hint_components);

  /// Index of the coarsest hint that is at least as fine as size × size; −1 if there is none.
  std::int64_t hint_for(std::int64_t size) const;
  std::int64_t grid() const { return static_cast<std::int64_t>(levels_.size()) - 1; }
  std::int64_t components(std::int64_t level) const { return levels_.at(static_cast<std::size_t>(level)).size(3); }
  /// Targets [B, size · size, K] of crops of the photos at `items` i64 [B], from a level: a hint or the grid.
  /// `transforms` f32 [B, 2, 3] takes the target's coordinates in −1..1 to those of the photo.
  torch::Tensor crops(std::int64_t level, const torch::Tensor& items, const torch::Tensor& transforms,
                      std::int64_t size) const;

 private:
  std::vector<torch::Tensor> levels_;  ///< bf16 [N, h, w, K]: hints from fine to coarse, then the grid
};

struct DistillationOptions {
  AugmentOptions augment;
  double pooled_weight = 2.0;  ///< of the squared error of the mean over the grid
  double cosine_weight = 0.5;  ///< of 1 − cos between tokens and targets
  double hint_weight = 0.5;    ///< of the squared error of every hint
  std::uint64_t seed = 0;
};

/// Teaches an image encoder to see what the teacher sees: a linear head on every token predicts the teacher's grid at
/// the same place, under random crops, flips and colours. The stages of a convolutional encoder learn from the
/// teacher's hints as well (Romero et al., FitNets, arXiv 1412.6550): deep layers begin to learn only when the layers
/// below them see something.
///   loss = mean (ŷ − y)² + pooled_weight · mean (mean ŷ − mean y)² + cosine_weight · mean (1 − cos(ŷ, y))
///        + hint_weight · Σ_stages mean (ŷ_s − y_s)²
class DistillationObjective final : public Objective {
 public:
  DistillationObjective(TorchBackend& backend, const ImageEncoder& encoder, const ParameterStore& head_parameters,
                        const Preprocessor& preprocessor, const PhotoStore& photos, std::vector<std::int64_t> items,
                        const TeacherGrids& targets, const DistillationOptions& options);

  std::int64_t size() const override { return static_cast<std::int64_t>(items_.size()); }
  std::unique_ptr<Batch> prepare(std::span<const Sample> samples) const override;
  StepLosses losses(const Batch& batch) override;

  /// Unexplained share of the targets' variance over whole photos, without augmentation.
  double unexplained_variance(std::span<const std::int64_t> photos);

 private:
  /// A linear prediction of a teacher's hint from a stage of the encoder.
  struct Hint {
    std::string probe;
    std::int64_t level;
    std::int64_t size;
    Linear head;
  };

  torch::Tensor predict(const HostTensor& pixels, const Probe& probe = {}) const;

  TorchBackend* backend_;
  const ImageEncoder* encoder_;
  Linear head_;
  std::vector<Hint> hints_;
  Preprocessor preprocessor_;
  const PhotoStore* photos_;
  std::vector<std::int64_t> items_;
  const TeacherGrids* targets_;
  DistillationOptions options_;
};

}  // namespace capdiff
