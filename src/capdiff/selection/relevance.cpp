#include "capdiff/selection/relevance.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "capdiff/base/error.h"

namespace capdiff {

std::size_t most_relevant(std::span<const double> relevance) {
  if (relevance.empty()) fail(ErrorCode::invalid_input, "there is no caption to choose from");
  return static_cast<std::size_t>(std::ranges::max_element(relevance) - relevance.begin());
}

std::vector<std::size_t> by_relevance(std::span<const double> relevance) {
  std::vector<std::size_t> places(relevance.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::ranges::stable_sort(places, std::greater<>(), [&](std::size_t i) { return relevance[i]; });
  return places;
}

}  // namespace capdiff
