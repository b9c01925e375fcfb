#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capdiff/evaluation/caption_metric.h"

namespace capdiff {

/// BLEU-1 to BLEU-4 (metrics/bleu.h).
std::unique_ptr<CaptionMetric> make_bleu_metric();

/// ROUGE-L (metrics/rouge_l.h). Captions that no tokeniser has seen are cut at single spaces.
std::unique_ptr<CaptionMetric> make_rouge_l_metric();

/// CIDEr-D (metrics/cider_d.h), with document frequencies of the scored images, or those of a file
/// (metrics/document_frequencies.h).
std::unique_ptr<CaptionMetric> make_cider_d_metric(std::optional<std::filesystem::path> frequencies);

/// What the diversity of captions is measured against.
struct DiversityOptions {
  /// Captions that are not novel, as they are written; none where nothing is known of them.
  std::vector<std::string> training;
  /// Words of the vocabulary that usage is a share of. 0: the distinct words of `training`, or of the references where
  /// there are none.
  std::int64_t vocabulary_size = 0;
};

/// Dist-1, Dist-2, Dist-3, Vocabulary, Distinct, Length, Novel (where there are training captions), and, where results
/// have several candidates an image, Self-BLEU and Self-CIDEr (metrics/diversity.h). Distinct is the share of captions
/// that differ from all before them, Length the mean number of words.
std::unique_ptr<CaptionMetric> make_diversity_metric(DiversityOptions options);

}  // namespace capdiff
