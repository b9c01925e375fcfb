#include "capdiff/diffusion/noise_schedule.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

/// f of a schedule: the signal's power at the share u of the time.
using PowerOfTime = std::function<double(double u)>;

constexpr double kMaxBeta = 0.999;
constexpr double kTruncation = 0.01;       // of betas
constexpr double kTruncatedCosine = 0.1;   // s of a cosine that begins with noise
constexpr std::int64_t kFirstPieces = 10;  // betas of the first piece of piecewise_linear

PowerOfTime cosine(double s) {
  return [s](double u) {
    const double c = std::cos(std::numbers::pi / 2.0 * (u + s) / (1.0 + s));
    return c * c;
  };
}

double square_root(double u) {
  constexpr double kOffset = 1e-4;
  return 1.0 - std::sqrt(u + kOffset);
}

std::vector<double> evenly(double first, double last, std::int64_t count) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(count == 1 ? first
                                : first + (last - first) * (static_cast<double>(i) / static_cast<double>(count - 1)));
  return values;
}

std::vector<double> products(const std::vector<double>& betas) {
  std::vector<double> alpha_bar;
  double product = 1.0;
  for (const double beta : betas) {
    if (beta >= 1.0)
      fail(ErrorCode::usage, "this noise schedule cannot be made for {} time steps: one of its betas would be {:.3g}",
           betas.size(), beta);
    alpha_bar.push_back(product *= 1.0 - beta);
  }
  return alpha_bar;
}

/// ᾱ_t = f(t / T) / f(0)
std::vector<double> ratios(const PowerOfTime& f, std::int64_t time_steps) {
  std::vector<double> alpha_bar;
  for (std::int64_t t = 0; t < time_steps; ++t)
    alpha_bar.push_back(f(static_cast<double>(t) / static_cast<double>(time_steps)) / f(0.0));
  return alpha_bar;
}

/// `count` betas of f, from β_0 on.
std::vector<double> betas_of(const PowerOfTime& f, std::int64_t time_steps, std::int64_t count) {
  const auto T = static_cast<double>(time_steps);
  std::vector<double> betas;
  for (std::int64_t i = 0; i < count; ++i)
    betas.push_back(std::min(1.0 - f(static_cast<double>(i + 1) / T) / f(static_cast<double>(i) / T), kMaxBeta));
  return betas;
}

std::vector<double> clean_start(const NoiseScheduleConfig& config) {
  const std::int64_t T = config.time_steps;
  switch (config.kind) {
    case ScheduleKind::linear: {
      std::vector<double> betas = evenly(config.beta_min, config.beta_max, T);
      betas.pop_back();
      betas.insert(betas.begin(), 0.0);
      return products(betas);
    }
    case ScheduleKind::cosine: return ratios(cosine(config.cosine_s), T);
    case ScheduleKind::sqrt: return ratios(square_root, T);
    case ScheduleKind::truncated_linear:
    case ScheduleKind::truncated_cosine:
    case ScheduleKind::piecewise_linear: break;
  }
  fail(ErrorCode::usage, "the noise schedule {} begins with noise, and this one is to begin without",
       name_of(config.kind));
}

std::vector<double> betas(const NoiseScheduleConfig& config) {
  const std::int64_t T = config.time_steps;
  const double low = config.beta_min * 1000.0 / static_cast<double>(T);
  const double high = config.beta_max * 1000.0 / static_cast<double>(T);
  switch (config.kind) {
    case ScheduleKind::linear: return evenly(low, high, T);
    case ScheduleKind::truncated_linear: return evenly(low + kTruncation, high + kTruncation, T);
    case ScheduleKind::piecewise_linear: {
      if (T <= kFirstPieces)
        fail(ErrorCode::usage, "the noise schedule pw_lin needs more than {} time steps, not {}", kFirstPieces, T);
      std::vector<double> first = evenly(low + kTruncation, low, kFirstPieces);
      const std::vector<double> rest = evenly(low, high, T - kFirstPieces);
      first.insert(first.end(), rest.begin(), rest.end());
      return first;
    }
    case ScheduleKind::cosine: return betas_of(cosine(config.cosine_s), T, T);
    case ScheduleKind::sqrt: return betas_of(square_root, T, T);
    case ScheduleKind::truncated_cosine: {
      const PowerOfTime f = cosine(kTruncatedCosine);
      std::vector<double> all = betas_of(f, T, T - 1);
      all.insert(all.begin(), 1.0 - f(0.0));
      return all;
    }
  }
  return {};
}

}  // namespace

NoiseSchedule::NoiseSchedule(const NoiseScheduleConfig& config) : config_(config) {
  if (config.time_steps < 2)
    fail(ErrorCode::usage, "a noise schedule needs at least 2 time steps, not {}", config.time_steps);
  alpha_bar_ = config.table == ScheduleTable::clean_start ? clean_start(config) : products(betas(config));
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
  const auto found = std::ranges::find(schedule_names(), name);
  if (found == schedule_names().end())
    fail(ErrorCode::usage, "unknown noise schedule '{}'; known: {}", name, fmt::join(schedule_names(), ", "));
  return static_cast<ScheduleKind>(found - schedule_names().begin());
}

std::string_view name_of(ScheduleKind kind) {
  return schedule_names()[static_cast<std::size_t>(kind)];
}

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names{"linear", "cosine", "sqrt", "trunc_lin", "trunc_cos", "pw_lin"};
  return names;
}

}  // namespace capdiff
