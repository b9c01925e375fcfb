#include "capdiff/base/suggestion.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace capdiff {
namespace {

/// Levenshtein distance, one row of the table at a time.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j - 1] + 1, diagonal + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string suggestion(std::string_view name, const std::vector<std::string>& known) {
  constexpr std::size_t kLongestName = 256;
  if (name.size() > kLongestName) return {};
  // More than a third of the letters wrong is another word, not a slip.
  std::size_t nearest_distance = name.size() / 3 + 1;
  const std::string* nearest = nullptr;
  for (const std::string& candidate : known) {
    if (candidate.size() > kLongestName) continue;
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < nearest_distance || (distance == nearest_distance && !nearest)) {
      nearest_distance = distance;
      nearest = &candidate;
    }
  }
  return nearest ? fmt::format("; did you mean \"{}\"?", *nearest) : std::string();
}

}  // namespace capdiff
