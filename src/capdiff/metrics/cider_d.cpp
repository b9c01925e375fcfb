#include "capdiff/metrics/cider_d.h"

#include "capdiff/base/parallel.h"
#include "capdiff/metrics/term_vectors.h"

namespace capdiff {
namespace {

/// Captions of images, in word numbers.
struct NumberedImages {
  NumberedImages(std::span<const ScoredImage> images, WordNumbers& words)
      : candidates(images.size()), references(images.size()) {
    for (std::size_t i = 0; i < images.size(); ++i) {
      candidates[i] = words.number(images[i].candidate);
      for (const Tokens& reference : images[i].references) references[i].push_back(words.number(reference));
    }
  }

  std::vector<std::vector<std::uint32_t>> candidates;
  std::vector<std::vector<std::vector<std::uint32_t>>> references;
};

MetricResult scored(const NumberedImages& images, const DocumentFrequencies& frequencies) {
  std::vector<double> values(images.candidates.size());
  parallel_for(values.size(), [&](std::size_t i) {
    const TermVector candidate = term_vector(images.candidates[i], frequencies);
    double sum = 0;
    for (const auto& reference : images.references[i])
      sum += cider_d_similarity(candidate, term_vector(reference, frequencies));
    values[i] = 10 * sum / static_cast<double>(images.references[i].size());
  });
  return mean_over_images(std::move(values));
}

}  // namespace

MetricResult cider_d(std::span<const ScoredImage> images, const DocumentFrequencies& frequencies) {
  require_references(images);
  WordNumbers words = frequencies.words();
  return scored(NumberedImages(images, words), frequencies);
}

MetricResult cider_d(std::span<const ScoredImage> images) {
  require_references(images);
  WordNumbers words;
  const NumberedImages numbered(images, words);
  return scored(numbered, DocumentFrequencies(numbered.references, std::move(words)));
}

}  // namespace capdiff
