#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "capdiff/metrics/scored_image.h"

namespace capdiff {

/// Words of candidate times words of reference that ROUGE-L compares at most. Two captions of 65,536 words take about
/// 0.1 s; the time grows with the product.
inline constexpr std::size_t kMaxRougeLPairs = std::size_t{1} << 32;

/// ROUGE-L as the COCO caption evaluation computes it: over the references, P = max lcs / candidate length and
/// R = max lcs / reference length are taken independently, and with beta = 1.2
///   F = (1 + beta^2) P R / (R + beta^2 P),  0 where P or R is 0.
/// The corpus value is the mean. An empty caption counts as one empty word, which only another empty caption shares.
/// Throws Error(unsupported) that names the image for captions longer than kMaxRougeLPairs allows.
MetricResult rouge_l(std::span<const ScoredImage> images);

/// Length of the longest common subsequence of two captions, in time proportional to the product of their lengths / 64.
std::size_t longest_common_subsequence(const Tokens& a, const Tokens& b);

/// The words of a caption that no tokeniser has seen, as the reference code of ROUGE-L cuts it: at every single space,
/// so that two spaces enclose an empty word. All other metrics cut at white space.
Tokens cut_at_spaces(std::string_view caption);

}  // namespace capdiff
