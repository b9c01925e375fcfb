#pragma once

#include <array>
#include <span>

#include "capdiff/metrics/scored_image.h"

namespace capdiff {

/// BLEU-1 to BLEU-4 (at [n - 1]) as the COCO caption evaluation computes them: clipped n-gram counts and lengths are
/// summed over the images,
///   p_k = (matches_k + 1e-15) / (candidate n-grams_k + 1e-9),  BLEU-n = (p_1 … p_n)^(1/n) · exp(min(0, 1 - 1/ratio)),
/// ratio = (candidate length + 1e-15) / (reference length + 1e-9). The reference length of an image is that closest to
/// its candidate, the shorter of two equally close. The value of an image is the same formula over that image alone.
std::array<MetricResult, 4> bleu(std::span<const ScoredImage> images);

/// What replaces precisions of zero in the BLEU-4 of a single sentence.
enum class BleuSmoothing {
  add_one,  ///< p_n = (matches + 1) / (n-grams + 1) for n = 2..4 (Lin and Och, 2004)
  method4,  ///< zero matches become ln(length) / (5 · 2^c) for the c-th such order (Chen and Cherry, 2014)
};

/// Smoothed BLEU-4 of one caption, in [0, 1]; 0 where the candidate is empty or shares no word with the references.
/// This is the utility of minimum Bayes risk decoding. No references are an Error(invalid_input).
double sentence_bleu(const Tokens& candidate, std::span<const Tokens> references,
                     BleuSmoothing smoothing = BleuSmoothing::add_one);

}  // namespace capdiff
