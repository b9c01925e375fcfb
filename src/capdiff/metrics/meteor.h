#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "capdiff/metrics/meteor_matches.h"
#include "capdiff/metrics/meteor_normalizer.h"
#include "capdiff/metrics/meteor_resources.h"
#include "capdiff/metrics/scored_image.h"

namespace capdiff {

/// A matcher and what its matches are worth.
struct MeteorWeight {
  MeteorModule module = MeteorModule::exact;
  double weight = 1.0;
};

/// Parameters of METEOR 1.5; those of English and its ranking task by default, which the COCO caption evaluation uses.
struct MeteorOptions {
  double alpha = 0.85;  ///< share of recall in the harmonic mean, in [0, 1]
  double beta = 0.2;    ///< shape of the penalty of fragmentation, not negative
  double gamma = 0.6;   ///< largest penalty of fragmentation, in [0, 1]
  double delta = 0.75;  ///< weight of content words; function words have 1 - delta
  /// At most four, each once, exact first. Without a paraphrase table there are no paraphrases to find.
  std::vector<MeteorWeight> modules = {{MeteorModule::exact, 1.0},
                                       {MeteorModule::stem, 0.6},
                                       {MeteorModule::synonym, 0.8},
                                       {MeteorModule::paraphrase, 0.6}};
  MeteorPunctuation punctuation = MeteorPunctuation::keep;
  std::size_t beam = 40;  ///< partial alignments kept, 1 to 1000
};

inline constexpr std::size_t kMeteorMaxModules = 4;

/// Matched words of one module, on both sides.
struct MeteorModuleCounts {
  std::int64_t hypothesis_content = 0;
  std::int64_t reference_content = 0;
  std::int64_t hypothesis_function = 0;
  std::int64_t reference_function = 0;
};

/// What is counted of a hypothesis and a reference, and summed over a corpus.
struct MeteorStatistics {
  std::int64_t hypothesis_words = 0;
  std::int64_t reference_words = 0;
  std::int64_t hypothesis_function_words = 0;
  std::int64_t reference_function_words = 0;
  std::array<MeteorModuleCounts, kMeteorMaxModules> modules{};  ///< in the order of MeteorOptions
  std::int64_t chunks = 0;

  std::int64_t hypothesis_matches() const;
  std::int64_t reference_matches() const;
  /// Whether every word of both sides is matched, in one chunk.
  bool is_perfect() const;
  /// Sums over a corpus. Chunks of perfect pairs are left out.
  MeteorStatistics& operator+=(const MeteorStatistics& other);
};

/// The score and what it is made of (Denkowski and Lavie, 2014, section 3), from weighted matches over weighted words:
///   f_mean = 1 / ((1 - alpha) / precision + alpha / recall),
///   penalty = gamma · (chunks / mean of matched words)^beta, 0 for a perfect match,
///   score = f_mean · (1 - penalty), 0 where that is not defined.
/// The others are NaN where a side has no words, the penalty also where nothing matches.
struct MeteorValues {
  double precision = 0;
  double recall = 0;
  double f_mean = 0;
  double penalty = 0;
  double score = 0;
};

/// A hypothesis against its references.
struct MeteorScore {
  MeteorValues values;             ///< against the best reference
  std::size_t best_reference = 0;  ///< the first one with the highest score
  MeteorStatistics statistics;
  std::vector<MeteorMatch> alignment;  ///< with the best reference
  std::vector<double> reference_scores;
};

/// METEOR 1.5 for English as `java -jar meteor-1.5.jar -l en -norm` computes it. Sentences are matched as far as their
/// first 1,024 words; the words behind count as unmatched. Words are compared, where METEOR compares hashes of them.
class Meteor {
 public:
  /// Throws `Error(usage)` for options out of range.
  explicit Meteor(std::shared_ptr<const MeteorResources> resources, MeteorOptions options = {});

  /// Texts are UTF-8 in any case, with punctuation; bytes that are not UTF-8 count as a symbol each. Throws
  /// `Error(invalid_input)` where there are no references.
  MeteorScore score(const std::string& hypothesis, std::span<const std::string> references) const;
  /// Of every image, on `threads` threads, whose number changes no result. Tokens are joined by spaces first. Throws as
  /// `require_references`.
  std::vector<MeteorScore> score(std::span<const ScoredImage> images, int threads) const;

  MeteorValues values(const MeteorStatistics& statistics) const;

  /// What scores must have in common to be compared, in the words of METEOR, and the resources; paraphrases are named
  /// only where there is a table of them:
  /// "meteor-1.5-wo-en-norm-0.85_0.2_0.6_0.75-ex_st_sy-1.0_0.6_0.8-wordnet".
  std::string signature() const;
  const MeteorOptions& options() const { return options_; }

 private:
  class Scorer;

  std::shared_ptr<const MeteorResources> resources_;
  MeteorOptions options_;
};

/// The corpus value is that of the summed statistics of the best references.
MetricResult meteor(std::span<const ScoredImage> images, const Meteor& meteor, int threads = 1);

}  // namespace capdiff
