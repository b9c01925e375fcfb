#include "capdiff/diffusion/dpm_solver.h"

#include <algorithm>
#include <cmath>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

/// y at x of the piecewise linear curve through (xs, ys), xs ascending, continued by its outermost pieces.
double interpolate(const std::vector<double>& xs, const std::vector<double>& ys, double x) {
  const auto above = std::upper_bound(xs.begin() + 1, xs.end() - 1, x);
  const auto i = static_cast<std::size_t>(above - xs.begin());
  return ys[i - 1] + (x - xs[i - 1]) * (ys[i] - ys[i - 1]) / (xs[i] - xs[i - 1]);
}

SolverPoint point_of(double log_alpha) {
  const double log_sigma = 0.5 * std::log(-std::expm1(2.0 * log_alpha));
  return {std::exp(log_alpha), std::exp(log_sigma), log_alpha - log_sigma};
}

}  // namespace

SolverPoint solver_point(double alpha_bar) {
  return point_of(0.5 * std::log(alpha_bar));
}

Value dpm_solver_step(Backend& backend, const Value& x, const Value& x0, const SolverPoint& now,
                      const SolverPoint& next) {
  return backend.scale_add(static_cast<float>(-next.alpha * std::expm1(now.lambda - next.lambda)), x0,
                           static_cast<float>(next.sigma / now.sigma), x);
}

Value dpm_solver_step(Backend& backend, const Value& x, const Value& x0, const Value& previous_x0,
                      const SolverPoint& previous, const SolverPoint& now, const SolverPoint& next) {
  const double r = (now.lambda - previous.lambda) / (next.lambda - now.lambda);
  const double weight = 1.0 / (2.0 * r);
  const Value extrapolated =
      backend.scale_add(static_cast<float>(1.0 + weight), x0, static_cast<float>(-weight), previous_x0);
  return dpm_solver_step(backend, x, extrapolated, now, next);
}

ContinuousSchedule ContinuousSchedule::linear(double beta0, double beta1) {
  ContinuousSchedule schedule;
  schedule.beta0_ = beta0;
  schedule.beta1_ = beta1;
  return schedule;
}

ContinuousSchedule ContinuousSchedule::discrete(const std::vector<double>& alpha_bar) {
  if (alpha_bar.size() < 2) fail(ErrorCode::usage, "a discrete schedule needs two noise levels or more");
  ContinuousSchedule schedule;
  for (std::size_t n = 0; n < alpha_bar.size(); ++n) {
    schedule.times_.push_back(static_cast<double>(n + 1) / static_cast<double>(alpha_bar.size()));
    schedule.log_alphas_.push_back(0.5 * std::log(alpha_bar[n]));
  }
  return schedule;
}

double ContinuousSchedule::log_alpha(double t) const {
  if (times_.empty()) return -0.25 * t * t * (beta1_ - beta0_) - 0.5 * t * beta0_;
  return interpolate(times_, log_alphas_, t);
}

SolverPoint ContinuousSchedule::point(double t) const {
  return point_of(log_alpha(t));
}

double ContinuousSchedule::time_of(double lambda) const {
  // 2 log α = −log(1 + e^{−2λ})
  const double twice = -std::max(0.0, -2.0 * lambda) - std::log1p(std::exp(-std::abs(2.0 * lambda)));
  if (times_.empty()) {
    const double slope = beta1_ - beta0_;
    return -2.0 * twice / (std::sqrt(beta0_ * beta0_ - 2.0 * slope * twice) + beta0_);
  }
  const std::vector<double> ascending(log_alphas_.rbegin(), log_alphas_.rend());
  const std::vector<double> times(times_.rbegin(), times_.rend());
  return interpolate(ascending, times, 0.5 * twice);
}

TimeSpacing time_spacing(std::string_view name) {
  if (name == "time_uniform") return TimeSpacing::uniform;
  if (name == "logSNR") return TimeSpacing::log_snr;
  if (name == "time_quadratic") return TimeSpacing::quadratic;
  fail(ErrorCode::usage, "unknown spacing of times '{}'; known: time_uniform, logSNR, time_quadratic", name);
}

std::vector<double> solver_times(const ContinuousSchedule& schedule, TimeSpacing spacing, std::int64_t steps,
                                 double start, double end) {
  if (steps < 1) fail(ErrorCode::usage, "a solver needs at least one step, not {}", steps);
  const auto between = [steps](double from, double to, std::int64_t i) {
    return from + (to - from) * static_cast<double>(i) / static_cast<double>(steps);
  };
  std::vector<double> times;
  for (std::int64_t i = 0; i <= steps; ++i) {
    switch (spacing) {
      case TimeSpacing::uniform: times.push_back(between(start, end, i)); break;
      case TimeSpacing::log_snr:
        times.push_back(schedule.time_of(between(schedule.point(start).lambda, schedule.point(end).lambda, i)));
        break;
      case TimeSpacing::quadratic: {
        const double root = between(std::sqrt(start), std::sqrt(end), i);
        times.push_back(root * root);
        break;
      }
    }
  }
  return times;
}

}  // namespace capdiff
