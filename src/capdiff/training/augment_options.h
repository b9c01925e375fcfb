#pragma once

#include "capdiff/formats/json_reader.h"
#include "capdiff/image/augment.h"

namespace capdiff {

/// Reads the keys crop_scale, crop_aspect, brightness, contrast and saturation ([low, high] each) and flip of a stage's
/// table; what is absent has the defaults of `AugmentOptions`.
AugmentOptions read_augment_options(const JsonReader& table);

}  // namespace capdiff
