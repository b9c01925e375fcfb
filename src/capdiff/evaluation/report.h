#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "capdiff/metrics/caption_tokens.h"

namespace capdiff {

/// Scores of captions against references. Values are raw, as the coco-caption tools print them (CIDEr-D 1.262).
struct EvaluationReport {
  /// Metric and corpus value, in the order in which tables show them.
  std::vector<std::pair<std::string, double>> corpus;
  /// Metric values by image id.
  std::map<std::string, std::map<std::string, double>> per_image;
  /// Metrics that were not computed, with the reason.
  std::map<std::string, std::string> skipped;
  /// Program, version, tokeniser, number of images and references: what a score must be compared under.
  std::string signature;
  std::size_t images = 0;
  std::size_t distinct_captions = 0;
  double seconds = 0.0;
};

/// BLEU-1..4, ROUGE-L and CIDEr-D of one caption per image.
EvaluationReport score_captions(std::span<const EvaluatedCaption> captions, const CaptionTokenizer& tokenizer);

/// The object that `--json` prints: {"corpus", "per_image", "skipped", "signature", "images", "seconds"}.
nlohmann::json to_json(const EvaluationReport& report);
/// A table for people, values times 100.
std::string to_table(const EvaluationReport& report);

}  // namespace capdiff
