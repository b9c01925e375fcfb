#pragma once

#include <span>
#include <string>
#include <vector>

namespace capdiff {

/// The words of a caption as a metric counts them.
using Tokens = std::vector<std::string>;

/// Words with one space between them.
std::string joined(const Tokens& words);

/// A candidate caption and what people wrote about the same image.
struct ScoredImage {
  std::string id;
  Tokens candidate;
  std::vector<Tokens> references;
};

/// The value of a metric over a set of images, and for each of them in their order.
struct MetricResult {
  double corpus = 0;
  std::vector<double> per_image;
};

/// Throws Error(invalid_input) where there are no images, or one has no references.
void require_references(std::span<const ScoredImage> images);

/// The mean of those values that are numbers; NaN where none is.
double mean_of_present(std::span<const double> values);

/// The arithmetic mean, which is the corpus value of ROUGE-L and CIDEr-D.
MetricResult mean_over_images(std::vector<double> per_image);

}  // namespace capdiff
