#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace capdiff {

/// The place of the largest number, the first of equals. No numbers are an Error(invalid_input).
std::size_t most_relevant(std::span<const double> relevance);

/// All places, the largest number first, equals in their order.
std::vector<std::size_t> by_relevance(std::span<const double> relevance);

}  // namespace capdiff
