#include "capdiff/evaluation/metric_choice.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "capdiff/base/error.h"
#include "capdiff/base/suggestion.h"
#include "capdiff/evaluation/meteor_metric.h"

namespace capdiff {
namespace {

using Metric = std::unique_ptr<CaptionMetric>;

struct KnownMetric {
  std::string name;
  std::vector<std::string> columns;  ///< that contracts promise
  Metric (*make)(const MetricOptions&) = nullptr;
  /// Whether options name what the metric needs, which then has to be there.
  bool (*given)(const MetricOptions&) = [](const MetricOptions&) { return false; };
};

/// Whether options have this member.
template <auto member>
bool has(const MetricOptions& options) {
  return (options.*member).has_value();
}

Metric make_spice(const MetricOptions& options) {
  if (!options.spice)
    fail(ErrorCode::usage, "the metric spice needs its authors' program: --spice-jar FILE (spice-1.0.jar)");
  return make_spice_metric(*options.spice);
}

Metric make_clip(const MetricOptions& options) {
  if (!options.clip)
    fail(ErrorCode::usage, "the metric clipscore needs a CLIP and the pictures: --clip DIR --images DIR");
  return make_clip_metric(*options.clip);
}

Metric make_bert(const MetricOptions& options) {
  if (!options.bert) fail(ErrorCode::usage, "the metric bertscore needs a BERT: --bert DIR");
  return make_bert_metric(*options.bert);
}

/// All, in the order of tables.
const std::vector<KnownMetric>& known_metrics() {
  static const std::vector<KnownMetric> known{
      {"bleu", {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"}, [](const MetricOptions&) { return make_bleu_metric(); }},
      {"meteor",
       {"METEOR"},
       [](const MetricOptions& options) { return make_meteor_metric(options.meteor_data); },
       has<&MetricOptions::meteor_data>},
      {"rouge-l", {"ROUGE-L"}, [](const MetricOptions&) { return make_rouge_l_metric(); }},
      {"cider-d",
       {"CIDEr-D"},
       [](const MetricOptions& options) { return make_cider_d_metric(options.document_frequencies); },
       has<&MetricOptions::document_frequencies>},
      {"spice", {"SPICE"}, make_spice, has<&MetricOptions::spice>},
      {"clipscore", {"CLIPScore"}, make_clip, has<&MetricOptions::clip>},
      {"bertscore", {"BERTScore"}, make_bert, has<&MetricOptions::bert>},
      {"dist", {"Dist-1", "Dist-2", "Dist-3"}, [](const MetricOptions& options) {
         return make_diversity_metric(options.diversity);
       }}};
  return known;
}

void require_known(const std::string& name) {
  std::vector<std::string> known;
  for (const KnownMetric& metric : known_metrics()) known.push_back(metric.name);
  if (std::ranges::find(known, name) == known.end())
    fail(ErrorCode::usage, "there is no metric '{}'{}; there are {}", name, suggestion(name, known),
         fmt::join(known, ", "));
}

}  // namespace

MetricChoice choose_metrics(const std::vector<std::string>& names, const MetricOptions& options) {
  for (const std::string& name : names) require_known(name);
  MetricChoice choice;
  for (const KnownMetric& metric : known_metrics()) {
    std::string reason = "not asked for";
    if (std::ranges::find(names, metric.name) != names.end()) {
      choice.metrics.push_back(metric.make(options));
      continue;
    }
    if (names.empty()) {
      // What is broken is an error all the same; what is not there is left out.
      try {
        choice.metrics.push_back(metric.make(options));
        continue;
      } catch (const Error& error) {
        const bool lacking = error.code() == ErrorCode::usage || error.code() == ErrorCode::not_found;
        if (!lacking || metric.given(options)) throw;
        reason = error.what();
      }
    }
    for (const std::string& column : metric.columns) choice.skipped[column] = reason;
  }
  return choice;
}

}  // namespace capdiff
