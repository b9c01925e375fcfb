#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "capdiff/metrics/ngrams.h"
#include "capdiff/metrics/scored_image.h"

namespace capdiff {

/// In how many images the references contain each n-gram of one to four words.
class DocumentFrequencies {
 public:
  /// The reference captions of each image of a corpus. An empty corpus is an Error(invalid_input).
  explicit DocumentFrequencies(std::span<const std::vector<Tokens>> references);
  /// Those of the images that are scored, as usual.
  explicit DocumentFrequencies(std::span<const ScoredImage> images);

  std::int64_t images() const { return images_; }
  /// Number of images with `ngram`, whose words are numbered by `words()`; 0 where it is unknown.
  std::int64_t operator[](const Ngram& ngram) const;
  const WordNumbers& words() const { return words_; }

 private:
  void add(const std::vector<Tokens>& references);

  std::int64_t images_ = 0;
  WordNumbers words_;
  std::unordered_map<Ngram, std::int64_t, NgramHash> counts_;
};

/// CIDEr-D (Vedantam et al., 2015) as the COCO caption evaluation computes it. Captions are vectors of
/// tf · (ln N - ln max(1, df)) for each order n = 1..4; with h and r those of candidate and reference,
///   sim_n = sum min(h, r) r / (|h| |r|) · exp(-delta² / (2 · 6²)),
/// delta being the difference of their numbers of bigrams. The value of an image is ten times the mean of sim_n over
/// orders and references, the corpus value the mean over images.
MetricResult cider_d(std::span<const ScoredImage> images, const DocumentFrequencies& frequencies);

/// With the document frequencies of the images themselves.
MetricResult cider_d(std::span<const ScoredImage> images);

}  // namespace capdiff
