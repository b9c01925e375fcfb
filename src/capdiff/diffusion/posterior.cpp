#include "capdiff/diffusion/posterior.h"

#include <cmath>

namespace capdiff {

Posterior::Posterior(double alpha_bar_t, double alpha_bar_s)
    : beta(1.0 - alpha_bar_t / alpha_bar_s),
      variance(beta * (1.0 - alpha_bar_s) / (1.0 - alpha_bar_t)),
      x0_weight(std::sqrt(alpha_bar_s) * beta / (1.0 - alpha_bar_t)),
      x_t_weight(std::sqrt(1.0 - beta) * (1.0 - alpha_bar_s) / (1.0 - alpha_bar_t)) {}

}  // namespace capdiff
