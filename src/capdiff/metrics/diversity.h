#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "capdiff/metrics/document_frequencies.h"
#include "capdiff/metrics/scored_image.h"

namespace capdiff {

/// How varied a set of captions is.
struct Diversity {
  std::int64_t captions = 0;
  std::int64_t distinct_captions = 0;
  std::int64_t words = 0;
  std::int64_t distinct_words = 0;
  /// Dist-1, 2 and 3 (Li et al., 2016): distinct n-grams of all captions over the number of WORDS, as Prefix-diffusion
  /// and the original define it. 0 where there are no words.
  std::array<double, 3> dist{};

  /// Words of a caption; 0 where there are no captions.
  double mean_length() const;
  /// Distinct words over the size of a vocabulary.
  double vocabulary_usage(std::int64_t vocabulary_size) const;
};

Diversity diversity(std::span<const Tokens> captions);

/// Share of captions that are none of `training`, word for word. No captions are an Error(invalid_input).
double novel_share(std::span<const Tokens> captions, std::span<const Tokens> training);

/// Self-BLEU (mBLEU-4) of captions drawn for the same image: every one is scored against the others of its image, and
/// BLEU's counts are summed over them. Low values mean varied captions. The corpus value is the mean over images; those
/// with fewer than two captions have no value (NaN) and do not count.
MetricResult self_bleu(std::span<const std::vector<Tokens>> images);

/// Self-CIDEr (Wang and Chan, 2019) of captions drawn for the same image: with the m x m matrix K of their mutual CIDEr
/// (the cosine of their term vectors, mean over orders) and its eigenvalues e_i,
///   -log_m(max sqrt(e_i) / sum sqrt(e_i)),
/// 0 where all say the same and 1 where they share nothing. Images with fewer than two captions have no value (NaN) and
/// do not count.
MetricResult self_cider(std::span<const std::vector<Tokens>> images, const DocumentFrequencies& frequencies);

}  // namespace capdiff
