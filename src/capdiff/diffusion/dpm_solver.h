#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "capdiff/backends/backend.h"

namespace capdiff {

/// A noise level as DPM-Solver sees it: x = α x0 + σ ε, λ = log(α / σ).
struct SolverPoint {
  double alpha = 1.0, sigma = 0.0, lambda = 0.0;
};
SolverPoint solver_point(double alpha_bar);

/// A first-order step (DDIM): x' = (σ' / σ) x − α' (e^{−h} − 1) x̂0, h = λ' − λ.
Value dpm_solver_step(Backend& backend, const Value& x, const Value& x0, const SolverPoint& now,
                      const SolverPoint& next);
/// The second-order multistep of DPM-Solver++(2M) (Lu et al., arXiv 2211.01095, algorithm 2): x̂0 above is replaced by
/// (1 + 1 / 2r) x̂0 − (1 / 2r) x̂0_previous, r = (λ − λ_previous) / h.
Value dpm_solver_step(Backend& backend, const Value& x, const Value& x0, const Value& previous_x0,
                      const SolverPoint& previous, const SolverPoint& now, const SolverPoint& next);

/// A variance-preserving noise schedule in continuous time.
class ContinuousSchedule {
 public:
  /// log α(t) = −(β1 − β0) t² / 4 − β0 t / 2, for t in (0, 1].
  static ContinuousSchedule linear(double beta0, double beta1);
  /// log α of a table of ᾱ, piecewise linear in t = (n + 1) / T.
  static ContinuousSchedule discrete(const std::vector<double>& alpha_bar);

  double log_alpha(double t) const;
  SolverPoint point(double t) const;
  /// The time at which log(α / σ) is λ.
  double time_of(double lambda) const;

 private:
  double beta0_ = 0.0, beta1_ = 0.0;
  std::vector<double> times_, log_alphas_;  ///< empty: linear
};

/// How a solver's times are spread.
enum class TimeSpacing {
  uniform,
  log_snr,    ///< uniform in λ
  quadratic,  ///< squares of a uniform grid of √t
};
TimeSpacing time_spacing(std::string_view name);

/// steps + 1 times from `start` down to `end`.
std::vector<double> solver_times(const ContinuousSchedule& schedule, TimeSpacing spacing, std::int64_t steps,
                                 double start, double end);

}  // namespace capdiff
