#include "capdiff/evaluation/significance.h"

#include <algorithm>
#include <cmath>

#include "capdiff/base/error.h"
#include "capdiff/base/parallel.h"
#include "capdiff/base/philox.h"

namespace capdiff {
namespace {

constexpr std::uint32_t kStream = 0x626F6F74;  // "boot"

/// A metric family that both systems have.
struct Pair {
  const MetricScores* ours;
  const MetricScores* theirs;
  std::vector<std::string> names;
  std::size_t first;  ///< of its columns among all
};

std::size_t images_of(const MetricScores& scores) {
  for (const MetricScores::Column& column : scores.columns)
    if (!column.per_image.empty()) return column.per_image.size();
  return 0;
}

std::vector<Pair> pairs_of(std::span<const MetricScores> ours, std::span<const MetricScores> theirs) {
  std::vector<Pair> pairs;
  std::size_t columns = 0;
  for (const MetricScores& scores : ours) {
    const auto names = column_names(scores);
    for (const MetricScores& other : theirs) {
      if (names.empty() || column_names(other) != names) continue;
      if (images_of(scores) != images_of(other))
        fail(ErrorCode::invalid_input, "{}: systems with {} and {} images cannot be compared", names.front(),
             images_of(scores), images_of(other));
      pairs.push_back({&scores, &other, names, columns});
      columns += names.size();
    }
  }
  return pairs;
}

Comparison summary(std::vector<double> differences, const std::string& name, double ours, double theirs) {
  constexpr double kTail = 0.025;
  Comparison row{.name = name, .ours = ours, .theirs = theirs, .difference = ours - theirs};
  row.resamples = differences.size();
  double mean = 0.0;
  for (const double difference : differences) mean += difference / static_cast<double>(differences.size());
  const auto extreme = std::ranges::count_if(
      differences, [&](double difference) { return std::abs(difference - mean) >= std::abs(row.difference); });
  row.p_value = (1.0 + static_cast<double>(extreme)) / (1.0 + static_cast<double>(differences.size()));
  std::ranges::sort(differences);
  const auto at = [&](double share) {
    return differences[static_cast<std::size_t>(std::lround(share * static_cast<double>(differences.size() - 1)))];
  };
  row.low = at(kTail);
  row.high = at(1.0 - kTail);
  return row;
}

}  // namespace

std::vector<Comparison> paired_bootstrap(std::span<const MetricScores> ours, std::span<const MetricScores> theirs,
                                         std::size_t resamples, std::uint64_t seed) {
  const std::vector<Pair> pairs = pairs_of(ours, theirs);
  if (pairs.empty()) return {};
  if (resamples == 0) fail(ErrorCode::usage, "a comparison needs at least one resample");
  const std::size_t images = images_of(*pairs.front().ours);
  const std::size_t columns = pairs.back().first + pairs.back().names.size();
  std::vector<double> differences(columns * resamples);
  parallel_for(resamples, [&](std::size_t b) {
    RandomStream random(seed, kStream, b);
    std::vector<std::uint32_t> drawn(images);
    for (std::uint32_t& image : drawn) image = static_cast<std::uint32_t>(random.below(images));
    for (const Pair& pair : pairs) {
      const auto first = corpus_over(*pair.ours, drawn);
      const auto second = corpus_over(*pair.theirs, drawn);
      for (std::size_t c = 0; c < pair.names.size(); ++c)
        differences[(pair.first + c) * resamples + b] = first[c] - second[c];
    }
  });
  std::vector<std::uint32_t> all(images);
  for (std::size_t i = 0; i < images; ++i) all[i] = static_cast<std::uint32_t>(i);
  std::vector<Comparison> rows;
  for (const Pair& pair : pairs) {
    const auto first = corpus_over(*pair.ours, all);
    const auto second = corpus_over(*pair.theirs, all);
    for (std::size_t c = 0; c < pair.names.size(); ++c) {
      const auto begin = differences.begin() + static_cast<std::ptrdiff_t>((pair.first + c) * resamples);
      rows.push_back(summary(std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(resamples)), pair.names[c],
                             first[c], second[c]));
    }
  }
  return rows;
}

}  // namespace capdiff
