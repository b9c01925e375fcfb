#pragma once

#include "capdiff/backends/torch/torch_backend.h"
#include "capdiff/data/photo_store.h"
#include "capdiff/image/preprocess.h"
#include "capdiff/models/image_encoder.h"

namespace capdiff {

/// What a frozen image encoder says about P photos that are only resized, computed once for a whole run. The last row
/// is the picture that guidance calls nothing.
struct PhotoFeatures {
  HostTensor patches;  ///< f32 [P + 1, N, Dv]
  HostTensor pooled;   ///< f32 [P + 1, Dv]

  /// The row of no picture.
  std::int64_t nothing() const { return pooled.shape()[0] - 1; }
};

/// Rows of unreadable photos are those of no picture.
PhotoFeatures photo_features(TorchBackend& backend, const ImageEncoder& encoder, const Preprocessor& preprocessor,
                             const PhotoStore& photos);

}  // namespace capdiff
