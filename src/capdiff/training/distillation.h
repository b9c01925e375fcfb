#pragma once

#include "capdiff/data/photo_store.h"
#include "capdiff/image/augment.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/models/image_encoders.h"
#include "capdiff/training/objective.h"
#include "capdiff/training/teacher.h"

namespace capdiff {

/// What the teacher sees in every photo, computed once: its grid over the whole photo, reduced to the K principal
/// components of its channels and scaled to unit variance. The target of any crop is read from the grid by bilinear
/// interpolation, so the teacher never runs inside the training loop.
class TeacherGrids {
 public:
  /// Photos are shown to the teacher at `side` × `side` pixels, a multiple of 32.
  TeacherGrids(TorchBackend& backend, const Teacher& teacher, const PhotoStore& photos, int side,
               std::int64_t components);

  std::int64_t components() const { return grids_.size(3); }
  /// Targets [B, size · size, K] of crops of the photos at `items` i64 [B]; `transforms` f32 [B, 2, 3] takes the
  /// target's coordinates in −1..1 to those of the photo.
  torch::Tensor crops(const torch::Tensor& items, const torch::Tensor& transforms, std::int64_t size) const;

 private:
  torch::Tensor grids_;  ///< bf16 [N, h, w, K]
};

struct DistillationOptions {
  AugmentOptions augment;
  double pooled_weight = 2.0;  ///< of the squared error of the mean over the grid
  double cosine_weight = 0.5;  ///< of 1 − cos between tokens and targets
  std::uint64_t seed = 0;
};

/// Teaches an image encoder to see what the teacher sees: a linear head on every token predicts the teacher's grid at
/// the same place, under random crops, flips and colours.
///   loss = mean (ŷ − y)² + pooled_weight · mean (mean ŷ − mean y)² + cosine_weight · mean (1 − cos(ŷ, y))
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
  torch::Tensor predict(const HostTensor& pixels) const;

  TorchBackend* backend_;
  const ImageEncoder* encoder_;
  Linear head_;
  Preprocessor preprocessor_;
  const PhotoStore* photos_;
  std::vector<std::int64_t> items_;
  const TeacherGrids* targets_;
  DistillationOptions options_;
};

}  // namespace capdiff
