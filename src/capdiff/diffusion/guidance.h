#pragma once

#include "capdiff/backends/backend.h"

namespace capdiff {

/// Classifier-free guidance: (1 + w) x̂0(image) − w x̂0(nothing), from both estimates in one batch [2B, L, D], those with
/// the image first → [B, L, D].
Value guide(Backend& backend, const Value& both, double guidance);

}  // namespace capdiff
