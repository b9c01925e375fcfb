#pragma once

#include <memory>

#include "capdiff/backends/backend.h"
#include "capdiff/nn/parameters.h"
#include "capdiff/nn/probe.h"

namespace capdiff {

/// What a picture looks like to a captioner.
struct ImageTokens {
  Value patches;  ///< [B, N, Dv]
  Value pooled;   ///< [B, Dv]
};

/// Turns normalised pixels into tokens.
class ImageEncoder {
 public:
  virtual ~ImageEncoder() = default;

  /// pixels [B, 3, S, S], normalised.
  virtual ImageTokens encode(const Value& pixels, const Probe& probe = {}) const = 0;
  /// Side S of the pictures, in pixels.
  virtual std::int64_t image_size() const = 0;
  /// Width Dv of the tokens.
  virtual std::int64_t width() const = 0;
};

/// `value` [1, …] repeated along the outermost axis → [count, …].
Value repeat_batch(Backend& backend, const Value& value, std::int64_t count);

}  // namespace capdiff
