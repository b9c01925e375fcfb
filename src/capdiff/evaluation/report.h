#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "capdiff/evaluation/candidate_groups.h"
#include "capdiff/evaluation/caption_metric.h"
#include "capdiff/evaluation/length_groups.h"
#include "capdiff/evaluation/significance.h"

namespace capdiff {

/// Scores of captions against references. Values are raw, as the coco-caption tools print them (CIDEr-D 1.262).
struct EvaluationReport {
  /// Image ids, in the order of all values by image.
  std::vector<std::string> images;
  /// In the order in which tables show them.
  std::vector<MetricScores> metrics;
  /// Metrics that were not computed, with the reason.
  std::map<std::string, std::string> skipped;
  /// Program, version, tokeniser, number of images and references: what a score must be compared under.
  std::string signature;
  /// What people should know of the captions: how many are empty, which images were left out.
  std::vector<std::string> notes;
  std::size_t distinct_captions = 0;
  double seconds = 0.0;

  std::vector<LengthGroup> by_length;         ///< empty unless asked for
  std::vector<CandidateGroup> by_candidates;  ///< empty unless asked for
  std::vector<Comparison> comparison;         ///< with another system; empty unless asked for
  std::string compared_with;                  ///< the file of the other system

  /// A column by its name ("BLEU-4"), or nothing.
  const MetricScores::Column* find(std::string_view name) const;
};

/// A set of captions in words, ready for metrics.
class PreparedCaptions {
 public:
  PreparedCaptions(std::vector<EvaluatedCaption> captions, const CaptionTokenizer& tokenizer);

  CaptionSet set() const { return {captions_, words_, *tokenizer_}; }

 private:
  std::vector<EvaluatedCaption> captions_;
  std::vector<ScoredImage> words_;
  const CaptionTokenizer* tokenizer_;
};

/// Scores captions by all metrics, in order. A metric that throws Error(unsupported) is skipped with its reason.
EvaluationReport score_captions(const PreparedCaptions& captions,
                                std::span<const std::unique_ptr<CaptionMetric>> metrics);

/// The object that `--json` prints: {"corpus", "per_image", "skipped", "signature", "images", "distinct_captions",
/// "seconds"}, and "notes", "by_length", "by_candidates" and "comparison" where there are any. A value that is no
/// number is absent.
std::string to_json(const EvaluationReport& report);
/// A line of names, then one for each image: its id and its values.
std::string to_csv(const EvaluationReport& report);
/// A table for people, values times 100.
std::string to_table(const EvaluationReport& report);

}  // namespace capdiff
