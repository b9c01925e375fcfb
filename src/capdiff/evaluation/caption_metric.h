#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/metrics/caption_tokens.h"

namespace capdiff {

/// What metrics score: captions as they are written, and the same in words.
struct CaptionSet {
  std::span<const EvaluatedCaption> captions;
  std::span<const ScoredImage> words;
  const CaptionTokenizer& tokenizer;
};

/// What a metric says. A family such as BLEU has several columns.
struct MetricScores {
  struct Column {
    std::string name;  ///< "BLEU-4", as reports show it
    double corpus = 0.0;
    std::vector<double> per_image;  ///< empty where there are only values of the corpus; NaN for images without one
    double shown_times = 100.0;     ///< what tables for people multiply it by
  };
  std::vector<Column> columns;

  /// Where the corpus value is not the mean over images: what is summed over images, and how the values of all columns
  /// follow from a sum. Bootstrap and groups of images then do the same.
  std::size_t width = 0;
  std::vector<double> statistics;  ///< [images, width]
  std::function<std::vector<double>(std::span<const double> sums)> of_sums;
};

/// A column that is nothing but what a metric computed.
MetricScores::Column column_of(std::string name, MetricResult result);

/// The corpus value of each column over some of the images, of which any may come several times: the columns that have
/// values of images, in order; NaN where no image has one. CIDEr-D keeps the document frequencies of the whole set.
std::vector<double> corpus_over(const MetricScores& scores, std::span<const std::uint32_t> images);

/// Names of the columns of `corpus_over`.
std::vector<std::string> column_names(const MetricScores& scores);

/// A metric that reports can have. Metrics that need more than captions (pictures, models, data files, programs) get it
/// when they are made.
class CaptionMetric {
 public:
  virtual ~CaptionMetric() = default;

  /// Throws Error(unsupported) where the metric cannot be computed of this set, or here: the report then names the
  /// reason, and has the other metrics all the same.
  virtual MetricScores score(const CaptionSet& set) const = 0;
  /// Names of its columns, for reports that lack them.
  virtual std::vector<std::string> names() const = 0;
  /// What its values depend on besides captions and tokeniser, for the signature; empty where there is nothing.
  virtual std::string signature() const { return {}; }
};

}  // namespace capdiff
