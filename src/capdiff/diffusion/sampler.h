#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/diffusion/back_and_refine.h"
#include "capdiff/diffusion/noise_schedule.h"
#include "capdiff/diffusion/settled_words.h"

namespace capdiff {

/// How x moves from one noise level to the next, given the estimate x̂0.
enum class SamplerKind {
  ddim,        ///< keeps the noise that x has; with η > 0 a share of it is drawn anew
  renoise,     ///< x̂0 with fresh noise, as LaDiC's released code does
  dpm_solver,  ///< DPM-Solver++(2M): second order in log-SNR
  ancestral,  ///< the posterior q(x' | x, x̂0) with the larger variance β; DDIM with η = 1 is that with the smaller one
};

SamplerKind sampler_kind(std::string_view name);
std::string_view name_of(SamplerKind kind);

struct SamplerConfig {
  SamplerKind kind = SamplerKind::ddim;
  double eta = 0.0;             ///< DDIM only: 0 is deterministic, 1 ancestral
  std::int64_t time_shift = 0;  ///< the network is told min(T − 1, t + shift) where x has the noise of t
  std::optional<BackAndRefine> back_and_refine;
  Settling settling = {};  ///< begins when Back&Refine, if there is any, has acted
};

/// The network as a sampler sees it: x̂0 = denoise(x_t, self_condition, t), already guided. All Values [B, L, D].
using DenoiseStep = std::function<Value(const Value& x_t, const Value& self_condition, std::int64_t t)>;

/// Gaussian noise of the shape of x_T, [B, L, D].
class NoiseSource {
 public:
  virtual ~NoiseSource() = default;
  virtual Value initial() = 0;                ///< x_T
  virtual Value step(std::int64_t draw) = 0;  ///< the draw-th fresh noise, from 0
  virtual Value restart() = 0;                ///< what Back&Refine puts in place of words taken back
};

/// Positions whose latents are given: x̂0 there is replaced after every call, and x after every move (paper section
/// 4.5).
struct KnownPositions {
  Value mask;    ///< f32 [B, L, 1], not 0 where the latent is known
  Value latent;  ///< [B, L, D]
};

/// A call of the network as an observer sees it.
struct SamplerCall {
  std::size_t call = 0;  ///< from 0, Back&Refine's second round counted on
  std::int64_t t = 0;    ///< noise level of x_t
  const Value& x_t;
  const Value& x0;
  const std::vector<std::int64_t>& rows;  ///< which rows of the task's batch these are
  /// Set where Back&Refine has just acted on x0: f32 [B, L, 1], 1 where a position keeps its word.
  const HostTensor* kept = nullptr;
};
using SamplerObserver = std::function<void(const SamplerCall&)>;

/// What a sampler works on.
struct SamplingTask {
  DenoiseStep denoise;
  NoiseSource* noise = nullptr;
  /// Probability [B, L] of the most likely word at every position; only Back&Refine asks.
  std::function<HostTensor(const Value& x0)> confidence;
  std::optional<KnownPositions> known;
  SamplerObserver observe;
  /// For settling: the most likely words i64 [B, L]; how many rows a picture has, which leave together; and what is
  /// told which of the pictures still there stay, in their order.
  std::function<HostTensor(const Value& x0)> words = {};
  std::int64_t rows_per_picture = 1;
  std::function<void(const std::vector<std::int64_t>& pictures)> keep_only = {};
};

/// t_i = T − 1 − ⌊T (1 − (1 − i / n)^p)⌋ for i = 0 … n − 1, each below the one before it. The spacing p is 1 for even
/// steps; above 1 more of them lie where there is little noise, below 1 where there is much.
std::vector<std::int64_t> ddim_times(std::int64_t steps, std::int64_t time_steps, double spacing = 1.0);
/// T − 1, T − 1 − s, … while above 0, for the stride s: the grid of the released code.
std::vector<std::int64_t> times_of_stride(std::int64_t stride, std::int64_t time_steps);
/// The same with the stride s = ⌈(T − 1) / n⌉, which can make fewer calls than n.
std::vector<std::int64_t> stride_times(std::int64_t steps, std::int64_t time_steps);
/// n times evenly spread from T − 1 to 0, both among them, rounded half to even: the respacing of a table by the code
/// that Prefix-diffusion is built on.
std::vector<std::int64_t> respaced_times(std::int64_t steps, std::int64_t time_steps);
/// (n − 1) s, …, s, 0 for the smallest stride s of which there are n below T; an Error(usage) where there is none.
std::vector<std::int64_t> multiple_times(std::int64_t steps, std::int64_t time_steps);

/// Walks from noise x_T to x̂0 over the noise levels `times`, from high to low; the result is the estimate of the last
/// call that a row has had. Each x̂0 is the next call's self-condition, the first call's is zero. With ε̂ = (x − √ᾱ x̂0) /
/// √(1 − ᾱ):
///   ddim        x ← √ᾱ' x̂0 + √(1 − ᾱ' − ν²) ε̂ + ν z,  ν = η √((1 − ᾱ') / (1 − ᾱ)) √(1 − ᾱ / ᾱ')
///   renoise     x ← √ᾱ' x̂0 + √(1 − ᾱ') z
///   dpm_solver  see `dpm_solver_step`
///   ancestral   x ← μ + √β z, see `Posterior`
Value sample(Backend& backend, const NoiseSchedule& schedule, const SamplerConfig& config,
             std::span<const std::int64_t> times, const SamplingTask& task);

}  // namespace capdiff
