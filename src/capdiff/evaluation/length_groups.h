#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "capdiff/evaluation/caption_metric.h"

namespace capdiff {

/// Images whose references have similar lengths, and the scores of their captions.
struct LengthGroup {
  double from = 0.0;   ///< least mean number of words of an image's references; 0 for the first group
  double below = 0.0;  ///< infinite for the last group
  std::size_t images = 0;
  std::vector<std::pair<std::string, double>> values;  ///< corpus values over these images; NaN without images

  /// "< 8", "8 - 9", ">= 16"
  std::string label() const;
};

/// Groups images by the mean length of their references, and scores each group as a corpus of its own (LaDiC, Fig. 2b).
/// Groups are w words wide, from the 5th percentile p5 of the lengths, rounded down, with w = max(1, ceil((p95 - p5) /
/// 8)): single words for captions, more for paragraphs. The first and the last hold everything beyond; groups without
/// images are left out. Metrics that have no values of images are left out too.
std::vector<LengthGroup> group_by_length(std::span<const ScoredImage> images, std::span<const MetricScores> metrics);

}  // namespace capdiff
