#include "capdiff/diffusion/noise_schedule.h"

#include <cmath>
#include <numbers>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

std::vector<double> linear_alpha_bar(const NoiseScheduleConfig& config) {
  std::vector<double> alpha_bar(static_cast<std::size_t>(config.time_steps), 1.0);
  const double step = (config.beta_max - config.beta_min) / static_cast<double>(config.time_steps - 1);
  for (std::size_t t = 1; t < alpha_bar.size(); ++t)
    alpha_bar[t] = alpha_bar[t - 1] * (1.0 - (config.beta_min + static_cast<double>(t - 1) * step));
  return alpha_bar;
}

/// ᾱ_t = f(t / T) / f(0)
template <typename Function>
std::vector<double> alpha_bar_of(std::int64_t time_steps, const Function& f) {
  std::vector<double> alpha_bar(static_cast<std::size_t>(time_steps));
  for (std::size_t t = 0; t < alpha_bar.size(); ++t)
    alpha_bar[t] = f(static_cast<double>(t) / static_cast<double>(time_steps)) / f(0.0);
  return alpha_bar;
}

std::vector<double> cosine_alpha_bar(const NoiseScheduleConfig& config) {
  return alpha_bar_of(config.time_steps, [s = config.cosine_s](double u) {
    const double c = std::cos(std::numbers::pi / 2.0 * (u + s) / (1.0 + s));
    return c * c;
  });
}

std::vector<double> sqrt_alpha_bar(const NoiseScheduleConfig& config) {
  constexpr double kOffset = 1e-4;
  return alpha_bar_of(config.time_steps, [](double u) { return 1.0 - std::sqrt(u + kOffset); });
}

}  // namespace

NoiseSchedule::NoiseSchedule(const NoiseScheduleConfig& config) : config_(config) {
  if (config.time_steps < 2)
    fail(ErrorCode::usage, "a noise schedule needs at least 2 time steps, not {}", config.time_steps);
  switch (config.kind) {
    case ScheduleKind::linear: alpha_bar_ = linear_alpha_bar(config); break;
    case ScheduleKind::cosine: alpha_bar_ = cosine_alpha_bar(config); break;
    case ScheduleKind::sqrt: alpha_bar_ = sqrt_alpha_bar(config); break;
  }
}

double NoiseSchedule::alpha_bar(std::int64_t t) const {
  if (t < 0 || t >= config_.time_steps)
    fail(ErrorCode::internal, "time step {} outside [0, {})", t, config_.time_steps);
  return alpha_bar_[static_cast<std::size_t>(t)];
}

double NoiseSchedule::signal(std::int64_t t) const {
  return std::sqrt(alpha_bar(t));
}
double NoiseSchedule::noise(std::int64_t t) const {
  return std::sqrt(1.0 - alpha_bar(t));
}

ScheduleKind schedule_kind(std::string_view name) {
  if (name == "linear") return ScheduleKind::linear;
  if (name == "cosine") return ScheduleKind::cosine;
  if (name == "sqrt") return ScheduleKind::sqrt;
  fail(ErrorCode::usage, "unknown noise schedule '{}'; known: linear, cosine, sqrt", name);
}

std::string_view name_of(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::linear: return "linear";
    case ScheduleKind::cosine: return "cosine";
    case ScheduleKind::sqrt: return "sqrt";
  }
  return "";
}

}  // namespace capdiff
