#include "capdiff/evaluation/caption_metric.h"

#include <cmath>
#include <limits>

namespace capdiff {
namespace {

double mean_over(const std::vector<double>& values, std::span<const std::uint32_t> images) {
  double sum = 0.0;
  std::size_t count = 0;
  for (const std::uint32_t image : images) {
    if (std::isnan(values[image])) continue;
    sum += values[image];
    ++count;
  }
  return count ? sum / static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

MetricScores::Column column_of(std::string name, MetricResult result) {
  return {std::move(name), result.corpus, std::move(result.per_image)};
}

std::vector<double> corpus_over(const MetricScores& scores, std::span<const std::uint32_t> images) {
  if (scores.of_sums) {
    std::vector<double> sums(scores.width, 0.0);
    for (const std::uint32_t image : images) {
      const double* const row = scores.statistics.data() + image * scores.width;
      for (std::size_t i = 0; i < scores.width; ++i) sums[i] += row[i];
    }
    return scores.of_sums(sums);
  }
  std::vector<double> values;
  for (const MetricScores::Column& column : scores.columns)
    if (!column.per_image.empty()) values.push_back(mean_over(column.per_image, images));
  return values;
}

std::vector<std::string> column_names(const MetricScores& scores) {
  std::vector<std::string> names;
  for (const MetricScores::Column& column : scores.columns)
    if (!column.per_image.empty()) names.push_back(column.name);
  return names;
}

}  // namespace capdiff
