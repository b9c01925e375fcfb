#pragma once

#include <span>

#include "capdiff/metrics/scored_image.h"

namespace capdiff {

/// ROUGE-L as the COCO caption evaluation computes it: over the references, P = max lcs / candidate length and
/// R = max lcs / reference length are taken independently, and with beta = 1.2
///   F = (1 + beta^2) P R / (R + beta^2 P),  0 where P or R is 0.
/// The corpus value is the mean. An empty caption counts as one empty word, which only another empty caption shares.
MetricResult rouge_l(std::span<const ScoredImage> images);

/// Length of the longest common subsequence of two captions.
std::size_t longest_common_subsequence(const Tokens& a, const Tokens& b);

}  // namespace capdiff
