#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace capdiff {

/// The share of their words and pairs of neighbouring words that two texts have in common: 2 |A ∩ B| / (|A| + |B|) of
/// both bags, in lower case and without punctuation. 1 for the same words in the same order, 0 where no word is shared.
double shared_words(const std::string& a, const std::string& b);

/// The places of the texts that share less than `limit` with every text before them that stays itself.
std::vector<std::size_t> without_near_duplicates(std::span<const std::string> texts, double limit);

}  // namespace capdiff
