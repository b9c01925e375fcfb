#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "capdiff/metrics/scored_image.h"

namespace capdiff {

/// How varied a set of captions is.
struct Diversity {
  std::int64_t captions = 0;
  std::int64_t distinct_captions = 0;
  std::int64_t words = 0;
  std::int64_t distinct_words = 0;
  /// Dist-1, 2 and 3 (Li et al., 2016): distinct n-grams of all captions over the number of WORDS, as Prefix-diffusion
  /// and the original define it. 0 where there are no words.
  std::array<double, 3> dist{};
};

Diversity diversity(std::span<const Tokens> captions);

}  // namespace capdiff
