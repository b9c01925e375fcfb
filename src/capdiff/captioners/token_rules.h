#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace capdiff {

/// What a text may look like. Lengths are in tokens, with the prompt and without the end.
struct TokenRules {
  std::int64_t end = 0;         ///< the token that ends a text
  std::int64_t min_length = 0;  ///< the end does not come before
  std::int64_t max_length = 20;
  /// Makes tokens that a text has already, its prompt included, less likely (Keskar et al., arXiv 1909.05858).
  double repetition_penalty = 1.0;
  /// Where there are words, every token is one of them and not the same as the one before; with the end not among them,
  /// a text has exactly the maximal length. [V], or null.
  const std::vector<bool>* words = nullptr;
};

/// Sets logits [V] of tokens that may not follow `tokens` to −∞.
void forbid_tokens(std::span<float> logits, std::span<const std::int64_t> tokens, const TokenRules& rules);
/// Divides what logits of `tokens` have above `origin` by the penalty, multiplies what they have below: with an origin
/// of 0 the penalty acts on logits, with one of log Σ exp(logits) on log-probabilities.
void penalise_repetition(std::span<float> logits, std::span<const std::int64_t> tokens, double penalty, double origin);
/// Both, on logits.
std::vector<float> ruled_logits(std::span<const float> logits, std::span<const std::int64_t> tokens,
                                const TokenRules& rules);

}  // namespace capdiff
