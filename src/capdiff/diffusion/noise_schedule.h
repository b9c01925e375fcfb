#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace capdiff {

/// The last three exist only as `ScheduleTable::from_beta`.
enum class ScheduleKind { linear, cosine, sqrt, truncated_linear, truncated_cosine, piecewise_linear };

/// Which of two conventions makes a table of the same formula.
enum class ScheduleTable {
  clean_start,  ///< ᾱ_0 = 1, as LaDiC
  from_beta,  ///< ᾱ_t = Π_{i ≤ t} (1 − β_i): the first entry has noise already, as Prefix-diffusion and Diffusion-LM
};

struct NoiseScheduleConfig {
  ScheduleKind kind = ScheduleKind::cosine;
  ScheduleTable table = ScheduleTable::clean_start;
  std::int64_t time_steps = 1000;  ///< T
  double beta_min = 1e-4;          ///< linear kinds only
  double beta_max = 0.02;          ///< linear kinds only
  double cosine_s = 0.008;         ///< cosine only
  /// F: x_t = √ᾱ_t x0 + F √(1 − ᾱ_t) ε. Scales the noise's deviation while training.
  double noise_factor = 1.0;
  /// The same for all noise drawn while sampling; 1 in the paper and as released. Less noise than the network was
  /// trained with makes it bolder: captions closer to the most likely one.
  double sample_noise_factor = 1.0;
};

/// ᾱ_t for t = 0 … T − 1.
///
/// `clean_start`, with ᾱ_0 = 1:
///   linear            β_0 = 0, β_i = beta_min + (i − 1) (beta_max − beta_min) / (T − 1), ᾱ_t = Π_{i ≤ t} (1 − β_i)
///   cosine            f(u) = cos²(π/2 · (u + s) / (1 + s)), ᾱ_t = f(t / T) / f(0)
///   sqrt              f(u) = 1 − √(u + 0.0001), ᾱ_t = f(t / T) / f(0) (Li et al., Diffusion-LM, arXiv 2205.14217)
/// `from_beta`, with r = 1000 / T and β_i = min(1 − f((i + 1) / T) / f(i / T), 0.999) where there is an f:
///   linear            β from r · beta_min to r · beta_max
///   truncated_linear  the same + 0.01, whatever T is
///   piecewise_linear  10 betas from r · beta_min + 0.01 to r · beta_min, the others from there to r · beta_max
///   cosine, sqrt      f as above
///   truncated_cosine  f(u) = cos²(π/2 · (u + 0.1) / 1.1), β_0 = 1 − f(0), and β_{i + 1} of f as above
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

/// "linear", "cosine", "sqrt", "trunc_lin", "trunc_cos", "pw_lin".
ScheduleKind schedule_kind(std::string_view name);
/// Their names, in the order of the enumeration.
const std::vector<std::string>& schedule_names();
std::string_view name_of(ScheduleKind kind);

}  // namespace capdiff
