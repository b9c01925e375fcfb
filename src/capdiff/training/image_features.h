#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "capdiff/backends/torch/torch_backend.h"
#include "capdiff/captioners/prefix_model.h"
#include "capdiff/image/preprocess.h"

namespace capdiff {

/// What the frozen image tower of a Prefix-diffusion says about N photos, computed once for a whole run.
struct ImageFeatures {
  HostTensor features;         ///< f32 [N, F]; 0, as of no picture at all, where a photo is not readable
  std::vector<bool> readable;  ///< [N]

  std::span<const float> row(std::int64_t photo) const;
};

/// Photo number `i`, or an empty one where it cannot be read. Called from several threads at once.
using ReadPhoto = std::function<Image(std::int64_t i)>;

/// Photos are read as they are needed, and none is kept.
ImageFeatures image_features(TorchBackend& backend, const PrefixModel& model, const Preprocessor& preprocessor,
                             std::int64_t count, const ReadPhoto& read);

}  // namespace capdiff
