#include "capdiff/metrics/scored_image.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "capdiff/base/error.h"

namespace capdiff {

std::string joined(const Tokens& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

void require_references(std::span<const ScoredImage> images) {
  if (images.empty()) fail(ErrorCode::invalid_input, "there are no captions to score");
  for (const auto& image : images) {
    if (image.references.empty()) fail(ErrorCode::invalid_input, "image {} has no reference captions", image.id);
  }
}

double mean_of_present(std::span<const double> values) {
  double sum = 0;
  std::size_t count = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    ++count;
  }
  return count ? sum / static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
}

MetricResult mean_over_images(std::vector<double> per_image) {
  const double sum = std::accumulate(per_image.begin(), per_image.end(), 0.0);
  const double mean = per_image.empty() ? 0.0 : sum / static_cast<double>(per_image.size());
  return {mean, std::move(per_image)};
}

}  // namespace capdiff
