#include "capdiff/base/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace capdiff {

double LearningRateSchedule::at(std::int64_t step) const {
  const double k = static_cast<double>(step);
  const double total = static_cast<double>(steps);
  const double rise = warmup * total;
  if (k < rise) return peak * k / std::max(1.0, rise);
  const double left = std::clamp((total - k) / std::max(1.0, total - rise), 0.0, 1.0);
  switch (decay) {
    case Decay::none: return peak;
    case Decay::linear: return peak * left;
    case Decay::cosine: return peak * 0.5 * (1.0 - std::cos(std::numbers::pi * left));
  }
  return peak;
}

}  // namespace capdiff
