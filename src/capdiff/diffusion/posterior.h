#pragma once

#include "capdiff/backends/backend.h"

namespace capdiff {

/// q(x_s | x_t, x0) of two noise levels ᾱ_t ≤ ᾱ_s (Ho et al., arXiv 2006.11239, equations 6 and 7), with
/// β = 1 − ᾱ_t / ᾱ_s:
///   μ = √ᾱ_s β / (1 − ᾱ_t) x0 + √(1 − β) (1 − ᾱ_s) / (1 − ᾱ_t) x_t,   σ² = β (1 − ᾱ_s) / (1 − ᾱ_t)
struct Posterior {
  Posterior(double alpha_bar_t, double alpha_bar_s);

  Value mean(Backend& backend, const Value& x0, const Value& x_t) const {
    return backend.scale_add(static_cast<float>(x0_weight), x0, static_cast<float>(x_t_weight), x_t);
  }

  double beta = 0.0;      ///< the larger of the two usual variances
  double variance = 0.0;  ///< σ², the smaller one
  double x0_weight = 1.0, x_t_weight = 0.0;
};

}  // namespace capdiff
