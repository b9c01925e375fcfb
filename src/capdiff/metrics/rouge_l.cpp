#include "capdiff/metrics/rouge_l.h"

#include <algorithm>

namespace capdiff {
namespace {

constexpr double kBetaSquared = 1.2 * 1.2;

const Tokens& nonempty(const Tokens& caption) {
  static const Tokens empty_word{""};
  return caption.empty() ? empty_word : caption;
}

double rouge_l(const ScoredImage& image) {
  const Tokens& candidate = nonempty(image.candidate);
  double precision = 0;
  double recall = 0;
  for (const auto& caption : image.references) {
    const Tokens& reference = nonempty(caption);
    const auto common = static_cast<double>(longest_common_subsequence(candidate, reference));
    precision = std::max(precision, common / static_cast<double>(candidate.size()));
    recall = std::max(recall, common / static_cast<double>(reference.size()));
  }
  if (precision == 0 || recall == 0) return 0;
  return (1 + kBetaSquared) * precision * recall / (recall + kBetaSquared * precision);
}

}  // namespace

MetricResult rouge_l(std::span<const ScoredImage> images) {
  require_references(images);
  std::vector<double> values;
  for (const auto& image : images) values.push_back(rouge_l(image));
  return mean_over_images(std::move(values));
}

std::size_t longest_common_subsequence(const Tokens& a, const Tokens& b) {
  std::vector<std::size_t> lengths(b.size() + 1, 0);  // of the part of `a` read so far and each beginning of `b`
  for (const auto& word : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = lengths[j];
      lengths[j] = word == b[j - 1] ? diagonal + 1 : std::max(above, lengths[j - 1]);
      diagonal = above;
    }
  }
  return lengths.back();
}

}  // namespace capdiff
