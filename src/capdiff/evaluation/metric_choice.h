#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capdiff/evaluation/caption_metric.h"
#include "capdiff/evaluation/model_metrics.h"
#include "capdiff/evaluation/overlap_metrics.h"
#include "capdiff/evaluation/spice.h"

namespace capdiff {

/// What metrics need besides captions.
struct MetricOptions {
  std::optional<std::filesystem::path> document_frequencies;
  std::optional<std::filesystem::path> meteor_data;  ///< METEOR's own; none: Debian's WordNet
  std::optional<SpiceOptions> spice;
  std::optional<ClipMetricOptions> clip;
  std::optional<BertMetricOptions> bert;
  DiversityOptions diversity;
};

/// The metrics of a report, in the order of its tables.
struct MetricChoice {
  std::vector<std::unique_ptr<CaptionMetric>> metrics;
  /// Why the others are not computed, by the names of their columns.
  std::map<std::string, std::string> skipped;
};

/// Metrics by the names that the option `--metrics` takes: bleu, meteor, rouge-l, cider-d, spice, clipscore, bertscore,
/// dist. None stands for all that have what they need; the others are skipped with the reason. Throws Error(usage) for
/// a name that is unknown and for a metric that is asked for and lacks what it needs.
MetricChoice choose_metrics(const std::vector<std::string>& names, const MetricOptions& options);

}  // namespace capdiff
