#include "capdiff/evaluation/meteor_metric.h"

#include <omp.h>

#include "capdiff/metrics/meteor.h"

namespace capdiff {
namespace {

/// All counts that METEOR sums over a corpus, in the order of `statistics_of`.
constexpr std::size_t kCounts = 5 + 4 * kMeteorMaxModules;

/// What one caption adds to a corpus.
std::array<double, kCounts> counts_of(const MeteorStatistics& statistics) {
  std::array<double, kCounts> counts{};
  auto out = counts.begin();
  const auto add = [&out](std::int64_t count) { *out++ = static_cast<double>(count); };
  add(statistics.hypothesis_words);
  add(statistics.reference_words);
  add(statistics.hypothesis_function_words);
  add(statistics.reference_function_words);
  for (const MeteorModuleCounts& module : statistics.modules) {
    add(module.hypothesis_content);
    add(module.reference_content);
    add(module.hypothesis_function);
    add(module.reference_function);
  }
  add(statistics.is_perfect() ? 0 : statistics.chunks);
  return counts;
}

MeteorStatistics statistics_of(std::span<const double> counts) {
  MeteorStatistics statistics;
  auto in = counts.begin();
  const auto next = [&in] { return static_cast<std::int64_t>(*in++); };
  statistics.hypothesis_words = next();
  statistics.reference_words = next();
  statistics.hypothesis_function_words = next();
  statistics.reference_function_words = next();
  for (MeteorModuleCounts& module : statistics.modules) {
    module.hypothesis_content = next();
    module.reference_content = next();
    module.hypothesis_function = next();
    module.reference_function = next();
  }
  statistics.chunks = next();
  return statistics;
}

class MeteorMetric final : public CaptionMetric {
 public:
  explicit MeteorMetric(std::shared_ptr<const MeteorResources> resources)
      : meteor_(std::make_shared<Meteor>(std::move(resources))) {}

  std::vector<std::string> names() const override { return {"METEOR"}; }
  std::string signature() const override { return meteor_->signature(); }

  MetricScores score(const CaptionSet& set) const override {
    MetricScores scores;
    scores.width = kCounts;
    scores.of_sums = [meteor = meteor_](std::span<const double> sums) {
      return std::vector<double>{meteor->values(statistics_of(sums)).score};
    };
    MetricScores::Column column{names().front(), 0.0, {}};
    std::vector<double> sums(kCounts, 0.0);
    for (const MeteorScore& image : meteor_->score(set.words, omp_get_max_threads())) {
      column.per_image.push_back(image.values.score);
      const auto counts = counts_of(image.statistics);
      for (std::size_t i = 0; i < kCounts; ++i) sums[i] += counts[i];
      scores.statistics.insert(scores.statistics.end(), counts.begin(), counts.end());
    }
    column.corpus = scores.of_sums(sums).front();
    scores.columns.push_back(std::move(column));
    return scores;
  }

 private:
  std::shared_ptr<const Meteor> meteor_;
};

}  // namespace

std::unique_ptr<CaptionMetric> make_meteor_metric(const std::optional<std::filesystem::path>& data) {
  return std::make_unique<MeteorMetric>(data ? MeteorResources::from_folder(*data) : MeteorResources::from_debian());
}

}  // namespace capdiff
