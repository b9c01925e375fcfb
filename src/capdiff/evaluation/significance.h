#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "capdiff/evaluation/caption_metric.h"

namespace capdiff {

/// One metric of two systems on the same images.
struct Comparison {
  std::string name;
  double ours = 0.0;
  double theirs = 0.0;
  double difference = 0.0;  ///< ours - theirs
  double low = 0.0;         ///< 95 % interval of the difference (percentiles of the resamples)
  double high = 0.0;
  double p_value = 1.0;
  std::size_t resamples = 0;
};

/// Paired bootstrap (Koehn, 2004): images are drawn with replacement, the same for both systems, and the corpus values
/// of both are computed anew over what was drawn: from summed statistics where a metric has them (BLEU), as means of
/// the images' values otherwise. With δ the difference and δ_b that of resample b of B, whose mean is m,
///   p = (1 + #{|δ_b - m| >= |δ|}) / (1 + B),
/// two-sided. Metrics of both systems are paired by name; those that have values of single images alone are compared.
/// Draws are a function of seed, resample and number of images, whatever the number of threads. Throws
/// Error(invalid_input) where the systems differ in the number of images.
std::vector<Comparison> paired_bootstrap(std::span<const MetricScores> ours, std::span<const MetricScores> theirs,
                                         std::size_t resamples, std::uint64_t seed);

}  // namespace capdiff
