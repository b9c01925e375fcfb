#include "capdiff/evaluation/metric_choice.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/base/suggestion.h"

namespace capdiff {
namespace {

struct KnownMetric {
  std::string name;
  bool usual = false;                                                      ///< computed where nothing is asked for
  std::vector<std::string> columns;                                        ///< that contracts promise
  std::unique_ptr<CaptionMetric> (*make)(const MetricOptions&) = nullptr;  ///< none: not available
};

std::unique_ptr<CaptionMetric> make_spice(const MetricOptions& options) {
  if (!options.spice)
    fail(ErrorCode::usage, "the metric spice needs its authors' program: --spice-jar FILE (spice-1.0.jar)");
  return make_spice_metric(*options.spice);
}

/// All, in the order of tables.
const std::vector<KnownMetric>& known_metrics() {
  static const std::vector<KnownMetric> known{
      {"bleu", true, {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"}, [](const MetricOptions&) { return make_bleu_metric(); }},
      {"meteor", false, {"METEOR"}},
      {"rouge-l", true, {"ROUGE-L"}, [](const MetricOptions&) { return make_rouge_l_metric(); }},
      {"cider-d",
       true,
       {"CIDEr-D"},
       [](const MetricOptions& options) { return make_cider_d_metric(options.document_frequencies); }},
      {"spice", false, {"SPICE"}, make_spice},
      {"clipscore", false, {"CLIPScore"}},
      {"bertscore", false, {"BERTScore"}},
      {"dist", false, {"Dist-1", "Dist-2", "Dist-3"}, [](const MetricOptions& options) {
         return make_diversity_metric(options.diversity);
       }}};
  return known;
}

void require_available(const std::string& name) {
  std::vector<std::string> available;
  for (const KnownMetric& metric : known_metrics()) {
    if (metric.name == name && !metric.make)
      fail(ErrorCode::usage, "the metric '{}' is not available in this version", name);
    if (metric.name == name) return;
    if (metric.make) available.push_back(metric.name);
  }
  fail(ErrorCode::usage, "there is no metric '{}'{}; there are {}", name, suggestion(name, available),
       fmt::join(available, ", "));
}

}  // namespace

MetricChoice choose_metrics(const std::vector<std::string>& names, const MetricOptions& options) {
  for (const std::string& name : names) require_available(name);
  MetricChoice choice;
  for (const KnownMetric& metric : known_metrics()) {
    const bool asked = names.empty() ? metric.usual : std::ranges::find(names, metric.name) != names.end();
    if (asked) {
      choice.metrics.push_back(metric.make(options));
      continue;
    }
    for (const std::string& column : metric.columns)
      choice.skipped[column] = metric.make ? "not asked for" : "not available in this version";
  }
  return choice;
}

}  // namespace capdiff
