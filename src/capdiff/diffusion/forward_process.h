#pragma once

#include "capdiff/backends/backend.h"
#include "capdiff/diffusion/noise_schedule.h"

namespace capdiff {

/// x_t = √ᾱ_t x0 + F √(1 − ᾱ_t) ε as training sees it; x0 and noise [B, L, D], t i64 [B].
Value noised(Backend& backend, const NoiseSchedule& schedule, const Value& x0, const Value& noise, const HostTensor& t);

}  // namespace capdiff
