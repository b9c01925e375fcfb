#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "capdiff/metrics/scored_image.h"
#include "capdiff/models/clip_encoder.h"

namespace capdiff {

/// w of CLIPScore.
inline constexpr double kClipScoreWeight = 2.5;

/// CLIPScore of a picture and a caption whose features have this cosine: w · max(cosine, 0) (Hessel et al. 2021,
/// equation 1).
double clip_score(double cosine, double weight = kClipScoreWeight);

/// RefCLIPScore as the released program computes it: the harmonic mean of CLIPScore and the largest cosine of the
/// caption with a reference, which is neither scaled nor cut off at 0. 0 where both sum to 0.
double ref_clip_score(double clip_score, double best_reference_cosine);

struct ClipScoreOptions {
  /// Before every caption and reference, as in the paper.
  std::string prefix = "A photo depicts ";
  double weight = kClipScoreWeight;
  std::size_t batch = 32;  ///< pictures that are in memory and encoded at once
  /// Told how many pictures were done since the last call.
  std::function<void(std::size_t)> on_progress = {};
};

struct ClipScores {
  MetricResult clip_score;
  std::optional<MetricResult> ref_clip_score;  ///< where there were references
  std::size_t truncated = 0;                   ///< captions and references longer than CLIP's positions
};

/// Scores captions by how near CLIP finds them to their pictures, and to references. Captions are taken as they are;
/// published values are of CLIP ViT-B/32.
class ClipScorer {
 public:
  /// `folder` is a model folder that `capdiff convert --from clip` wrote. Throws as `ModelFolder::open` and
  /// `ClipEncoder`. The backend must outlive the scorer.
  ClipScorer(const std::filesystem::path& folder, Backend& backend, ClipScoreOptions options = {});

  /// Caption i is of the picture in the file i, read without regard to EXIF as published evaluations do it.
  /// `references` may be empty; otherwise each picture needs at least one. Corpus values are means over pictures.
  /// Throws `Error(invalid_input)` where there are no pictures, where the numbers of pictures, captions and references
  /// differ, and what `read_image` throws.
  ClipScores score(std::span<const std::filesystem::path> images, std::span<const std::string> captions,
                   std::span<const std::vector<std::string>> references = {}) const;
  /// The same for pictures in memory.
  ClipScores score(std::span<const Image> images, std::span<const std::string> captions,
                   std::span<const std::vector<std::string>> references = {}) const;

 private:
  using ImageBatch = std::function<HostTensor(std::size_t begin, std::size_t count)>;

  ClipScores score(std::size_t count, const ImageBatch& images, std::span<const std::string> captions,
                   std::span<const std::vector<std::string>> references) const;

  ClipEncoder encoder_;
  ClipScoreOptions options_;
};

}  // namespace capdiff
