#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capdiff/evaluation/caption_metric.h"
#include "capdiff/evaluation/overlap_metrics.h"
#include "capdiff/evaluation/spice.h"

namespace capdiff {

/// What metrics need besides captions.
struct MetricOptions {
  std::optional<std::filesystem::path> document_frequencies;
  std::optional<SpiceOptions> spice;
  DiversityOptions diversity;
};

/// The metrics of a report, in the order of its tables.
struct MetricChoice {
  std::vector<std::unique_ptr<CaptionMetric>> metrics;
  /// Why the others are not computed, by the names of their columns.
  std::map<std::string, std::string> skipped;
};

/// Metrics by the names that the option `--metrics` takes: bleu, rouge-l, cider-d, spice, dist. None stands for bleu,
/// rouge-l and cider-d. Throws Error(usage) for a name that is unknown or not available, and for a metric that lacks
/// what it needs.
MetricChoice choose_metrics(const std::vector<std::string>& names, const MetricOptions& options);

}  // namespace capdiff
