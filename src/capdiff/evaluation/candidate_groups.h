#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capdiff/evaluation/caption_metric.h"
#include "capdiff/selection/minimum_bayes_risk.h"

namespace capdiff {

/// What the captions of several candidates an image are worth, if only the first few of them are drawn.
struct CandidateGroup {
  std::size_t candidates = 0;  ///< of each image
  std::string selection;       ///< first, mbr or clip: which of them is scored
  /// BLEU-4 and CIDEr-D of the chosen ones, "CLIP" (their mean cosine) where cosines are known; Dist-1, Dist-2, Dist-3,
  /// Words (the number of distinct ones) and Vocabulary (distinct words over those of the references) of all
  /// candidates; Seconds that drawing them took an image, NaN where they were not drawn by themselves.
  std::vector<std::pair<std::string, double>> values;
};

struct CandidateGroupOptions {
  std::vector<std::size_t> counts;  ///< a group of each, none more than the images have candidates
  Utility utility = Utility::bleu;  ///< of minimum Bayes risk
  /// How near CLIP finds each candidate of each image; empty without CLIP, which then does not choose either.
  std::vector<std::vector<double>> cosines;
  double seconds_per_image = 0.0;  ///< that drawing the largest number took
};

/// Numbers of candidates as people write them: "1,5,10,20". Throws Error(usage) where one is not a number of 1..1024
/// or does not exceed the one before.
std::vector<std::size_t> candidate_counts(std::string_view text);

/// Scores every selection among the first candidates of each image, as a corpus of its own. One candidate leaves
/// nothing to choose: then there is only the group `first`. CIDEr-D has the document frequencies of the references.
std::vector<CandidateGroup> group_by_candidates(const CaptionSet& set, const CandidateGroupOptions& options);

}  // namespace capdiff
