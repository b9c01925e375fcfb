#include "capdiff/metrics/cider_d.h"

#include "capdiff/base/parallel.h"
#include "capdiff/metrics/term_vectors.h"

namespace capdiff {

MetricResult cider_d(std::span<const ScoredImage> images, const DocumentFrequencies& frequencies) {
  require_references(images);
  struct Numbered {
    std::vector<std::uint32_t> candidate;
    std::vector<std::vector<std::uint32_t>> references;
  };
  WordNumbers words = frequencies.words();
  std::vector<Numbered> numbered(images.size());
  for (std::size_t i = 0; i < images.size(); ++i) {
    numbered[i].candidate = words.number(images[i].candidate);
    for (const Tokens& reference : images[i].references) numbered[i].references.push_back(words.number(reference));
  }
  std::vector<double> values(images.size());
  parallel_for(images.size(), [&](std::size_t i) {
    const TermVector candidate = term_vector(numbered[i].candidate, frequencies);
    double sum = 0;
    for (const auto& reference : numbered[i].references)
      sum += cider_d_similarity(candidate, term_vector(reference, frequencies));
    values[i] = 10 * sum / static_cast<double>(numbered[i].references.size());
  });
  return mean_over_images(std::move(values));
}

MetricResult cider_d(std::span<const ScoredImage> images) {
  return cider_d(images, DocumentFrequencies(images));
}

}  // namespace capdiff
