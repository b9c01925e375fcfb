#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "capdiff/text/vocabulary.h"

namespace capdiff {

/// Whether each token of a vocabulary is a word of its own: not a special token such as [PAD] or [unused7], not a
/// "##" piece, and not punctuation alone. Only these may stand in a blank, or where the number of words is fixed.
std::vector<bool> whole_words(const Vocabulary& vocabulary);

/// The most likely token of logits [V] among those allowed, other than its neighbours. Throws Error(invalid_model)
/// where nothing is allowed.
std::int64_t best_allowed(std::span<const float> logits, const std::vector<bool>& allowed,
                          std::optional<std::int64_t> left, std::optional<std::int64_t> right);

}  // namespace capdiff
