#pragma once

#include <functional>
#include <vector>

#include "capdiff/backends/backend.h"
#include "capdiff/diffusion/noise_schedule.h"

namespace capdiff {

/// The network as a sampler sees it: x̂0 = denoise(x_t, self_condition, t), already guided. All Values [B, L, D].
using DenoiseStep = std::function<Value(const Value& x_t, const Value& self_condition, std::int64_t t)>;

/// Called after every denoiser call with the x_t that entered and the x̂0 that came out.
using SamplerObserver = std::function<void(std::size_t call, std::int64_t t, const Value& x_t, const Value& x0)>;

/// t_i = T − 1 − ⌊T i / n⌋ for i = 0 … n − 1.
std::vector<std::int64_t> ddim_times(std::int64_t steps, std::int64_t time_steps);

/// Deterministic DDIM (η = 0) from noise x_T [B, L, D] to x̂0. Between calls
///   x ← √ᾱ' x̂0 + √(1 − ᾱ') (x − √ᾱ x̂0) / √(1 − ᾱ),
/// and each x̂0 is the next call's self-condition; the first call's is zero.
Value sample_ddim(Backend& backend, const NoiseSchedule& schedule, std::int64_t steps, const Value& noise,
                  const DenoiseStep& denoise, const SamplerObserver& observe = {});

}  // namespace capdiff
