#pragma once

#include <cstdint>

namespace capdiff {

/// What the learning rate does after the warm-up.
enum class Decay {
  none,    ///< stays at the peak
  linear,  ///< falls along a line to 0
  cosine,  ///< falls along half a cosine to 0
};

/// The learning rate as a function of the step: a linear rise from 0 to `peak` over the first `warmup` · `steps` steps,
/// then a decay that reaches 0 at `steps`.
struct LearningRateSchedule {
  double peak = 0;
  std::int64_t steps = 1;
  double warmup = 0;  ///< fraction of `steps`, in [0, 1]; need not fall on a whole step
  Decay decay = Decay::linear;

  /// The rate of update `step`, counted from 0. With a warm-up the very first update uses 0.
  double at(std::int64_t step) const;
};

}  // namespace capdiff
