#pragma once

#include <cstdint>
#include <optional>

#include "capdiff/backends/backend.h"

namespace capdiff {

/// Back&Refine (paper section 4.6): once, on the way down, the least certain words are taken back to pure noise and the
/// walk starts again from the top, so that they are found anew with the certain ones in sight.
struct BackAndRefine {
  double time = 0.5;       ///< acts after the first call with t ≤ time · T
  double not_below = 0.0;  ///< … and t > not_below · T
  double share = 0.5;      ///< of the positions, taken back
  /// Instead of a share: take back every position whose word is less probable than this.
  std::optional<double> min_confidence = {};
  /// As released: kept positions are noised to the next level rather than left clean, the walk starts again one step
  /// below the top, and ⌊share · L⌋ positions go back instead of all but ⌊(1 − share) · L⌋.
  bool noisy = false;

  bool acts_at(std::int64_t t, std::int64_t time_steps) const {
    const double at = static_cast<double>(t), T = static_cast<double>(time_steps);
    return at <= time * T && at > not_below * T;
  }
  /// Which positions keep their words: f32 [B, L, 1], 1 where they do, of `confidence` f32 [B, L]. Of equally certain
  /// positions the earlier one is kept.
  HostTensor kept(const HostTensor& confidence) const;
};

}  // namespace capdiff
