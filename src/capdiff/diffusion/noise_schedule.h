#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace capdiff {

enum class ScheduleKind { linear, cosine, sqrt };

struct NoiseScheduleConfig {
  ScheduleKind kind = ScheduleKind::cosine;
  std::int64_t time_steps = 1000;  ///< T
  double beta_min = 1e-4;          ///< linear only
  double beta_max = 0.02;          ///< linear only
  double cosine_s = 0.008;         ///< cosine only
  /// F: x_t = √ᾱ_t x0 + F √(1 − ᾱ_t) ε. Scales the noise's deviation while training.
  double noise_factor = 1.0;
  /// The same for all noise drawn while sampling; 1 in the paper and as released. Less noise than the network was
  /// trained with makes it bolder: captions closer to the most likely one.
  double sample_noise_factor = 1.0;
};

/// ᾱ_t for t = 0 … T − 1, with ᾱ_0 = 1.
/// linear: β_0 = 0, β_i from beta_min to beta_max, ᾱ_t = Π_{i ≤ t} (1 − β_i).
/// cosine: f(t) = cos²(π/2 · (t/T + s) / (1 + s)), ᾱ_t = f(t) / f(0).
/// sqrt: f(t) = 1 − √(t/T + 0.0001), ᾱ_t = f(t) / f(0) (Li et al., Diffusion-LM, arXiv 2205.14217).
class NoiseSchedule {
 public:
  explicit NoiseSchedule(const NoiseScheduleConfig& config);

  std::int64_t time_steps() const { return config_.time_steps; }
  double alpha_bar(std::int64_t t) const;
  /// √ᾱ_t: the share of x0 in x_t.
  double signal(std::int64_t t) const;
  /// √(1 − ᾱ_t): the deviation of the noise in x_t, without the noise factor.
  double noise(std::int64_t t) const;
  /// F √(1 − ᾱ_t): the deviation of the noise that training adds.
  double training_noise(std::int64_t t) const { return config_.noise_factor * noise(t); }
  const NoiseScheduleConfig& config() const { return config_; }

 private:
  NoiseScheduleConfig config_;
  std::vector<double> alpha_bar_;
};

ScheduleKind schedule_kind(std::string_view name);
std::string_view name_of(ScheduleKind kind);

}  // namespace capdiff
