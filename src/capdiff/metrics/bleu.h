#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "capdiff/metrics/ngrams.h"
#include "capdiff/metrics/scored_image.h"

namespace capdiff {

/// What BLEU counts of one caption. Sums of it over captions give the value of a corpus.
struct BleuStatistics {
  std::array<std::int64_t, kMaxNgramOrder> matches{};  ///< clipped, of order n at [n - 1]
  std::array<std::int64_t, kMaxNgramOrder> totals{};   ///< n-grams of the candidate
  std::int64_t candidate_length = 0;
  std::int64_t reference_length = 0;  ///< of the reference closest in length, the shorter of two equally close

  BleuStatistics& operator+=(const BleuStatistics& other);
};

/// No references are an Error(invalid_input).
BleuStatistics bleu_statistics(const Tokens& candidate, std::span<const Tokens> references);

/// Those of every image, counted on all threads.
std::vector<BleuStatistics> bleu_statistics(std::span<const ScoredImage> images);

/// BLEU-1 to BLEU-4 (at [n - 1]) of one caption, or of the sum over many:
///   p_k = (matches_k + 1e-15) / (candidate n-grams_k + 1e-9),  BLEU-n = (p_1 … p_n)^(1/n) · exp(min(0, 1 - 1/ratio)),
/// ratio = (candidate length + 1e-15) / (reference length + 1e-9).
std::array<double, kMaxNgramOrder> bleu_values(const BleuStatistics& counts);

/// BLEU-1 to BLEU-4 (at [n - 1]) as the COCO caption evaluation computes them: counts and lengths are summed over the
/// images. The value of an image is the same formula over that image alone.
std::array<MetricResult, kMaxNgramOrder> bleu(std::span<const ScoredImage> images);

/// What replaces precisions of zero in the BLEU-4 of a single sentence (Chen and Cherry, 2014).
enum class BleuSmoothing {
  add_one,  ///< p_n = (matches + 1) / (n-grams + 1) for n = 2..4 (Lin and Och, 2004)
  method1,  ///< zero matches become 0.1
  method4,  ///< zero matches become ln(length) / (5 · 2^c) for the c-th such order
  none,     ///< zero matches become the smallest positive normal number, 2^-1022
};

/// Smoothed BLEU-4 of one caption, in [0, 1]; 0 where the candidate is empty or shares no word with the references.
/// This is the utility of minimum Bayes risk decoding. No references are an Error(invalid_input).
double sentence_bleu(const Tokens& candidate, std::span<const Tokens> references,
                     BleuSmoothing smoothing = BleuSmoothing::add_one);

}  // namespace capdiff
