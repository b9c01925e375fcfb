#include "capdiff/metrics/scored_image.h"

#include <numeric>

#include "capdiff/base/error.h"

namespace capdiff {

void require_references(std::span<const ScoredImage> images) {
  if (images.empty()) fail(ErrorCode::invalid_input, "there are no captions to score");
  for (const auto& image : images) {
    if (image.references.empty()) fail(ErrorCode::invalid_input, "image {} has no reference captions", image.id);
  }
}

MetricResult mean_over_images(std::vector<double> per_image) {
  const double sum = std::accumulate(per_image.begin(), per_image.end(), 0.0);
  const double mean = per_image.empty() ? 0.0 : sum / static_cast<double>(per_image.size());
  return {mean, std::move(per_image)};
}

}  // namespace capdiff
