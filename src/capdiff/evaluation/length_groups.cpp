#include "capdiff/evaluation/length_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace capdiff {
namespace {

double mean_reference_length(const ScoredImage& image) {
  double words = 0.0;
  for (const Tokens& reference : image.references) words += static_cast<double>(reference.size());
  return words / static_cast<double>(image.references.size());
}

/// The value that a share of all lie below.
double quantile(std::vector<double> values, double share) {
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

}  // namespace

std::string LengthGroup::label() const {
  if (std::isinf(below)) return from > 0.0 ? fmt::format(">= {}", from) : "all";
  return from > 0.0 ? fmt::format("{} - {}", from, below) : fmt::format("< {}", below);
}

std::vector<LengthGroup> group_by_length(std::span<const ScoredImage> images, std::span<const MetricScores> metrics) {
  constexpr double kGroups = 8.0;
  std::vector<double> lengths;
  for (const ScoredImage& image : images) lengths.push_back(mean_reference_length(image));
  const double low = std::floor(quantile(lengths, 0.05));
  const double width = std::max(1.0, std::ceil((quantile(lengths, 0.95) - low) / kGroups));

  // Group g > 0 begins at low + (g - 1) · width.
  std::vector<std::vector<std::uint32_t>> members(static_cast<std::size_t>(kGroups) + 2);
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const double group = std::clamp(std::floor((lengths[i] - low) / width) + 1.0, 0.0, kGroups + 1.0);
    members[static_cast<std::size_t>(group)].push_back(static_cast<std::uint32_t>(i));
  }
  std::vector<LengthGroup> groups;
  for (std::size_t g = 0; g < members.size(); ++g) {
    if (members[g].empty()) continue;
    LengthGroup group;
    group.from = g ? low + static_cast<double>(g - 1) * width : 0.0;
    group.below =
        g + 1 < members.size() ? low + static_cast<double>(g) * width : std::numeric_limits<double>::infinity();
    group.images = members[g].size();
    for (const MetricScores& scores : metrics) {
      const auto names = column_names(scores);
      const auto values = corpus_over(scores, members[g]);
      for (std::size_t c = 0; c < names.size(); ++c) group.values.emplace_back(names[c], values[c]);
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace capdiff
