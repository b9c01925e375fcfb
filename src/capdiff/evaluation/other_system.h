#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "capdiff/evaluation/report.h"

namespace capdiff {

/// Compares a report with another system by paired bootstrap (significance.h), and adds the result to the report.
/// `path` holds the captions of the other system about the same images, as read_caption_results takes them: all
/// `metrics` are computed of them. Or it is a report that `--json` has printed: metrics are then compared whose corpus
/// value is the mean over images, since BLEU and its like do not follow from values of single images; those left out
/// are named in the report's notes. Throws Error(invalid_input) that names the file where it is neither, and where an
/// image is missing.
void compare_with(EvaluationReport& report, const PreparedCaptions& captions, const CaptionTokenizer& tokenizer,
                  std::span<const std::unique_ptr<CaptionMetric>> metrics, const std::filesystem::path& path,
                  std::size_t resamples);

}  // namespace capdiff
