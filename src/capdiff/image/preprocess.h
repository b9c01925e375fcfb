#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "capdiff/image/image.h"
#include "capdiff/tensor/host_tensor.h"

namespace capdiff {

/// Turns pictures into what an image encoder reads: S x S pixels, each channel (v / 255 - mean) / std.
struct Preprocessor {
  /// How a picture of any shape becomes a square.
  enum class Fit {
    stretch,      ///< resized to S x S, the aspect ratio is lost (LaDiC, BLIP)
    center_crop,  ///< the shorter side is resized to S, the middle is kept (CLIP)
  };

  int size = 224;  ///< S
  Fit fit = Fit::stretch;
  std::array<float, 3> mean = {0.48145466f, 0.4578275f, 0.40821073f};  ///< of R, G, B on a scale of 0..1; CLIP's
  std::array<float, 3> std = {0.26862954f, 0.26130258f, 0.27577711f};

  /// The picture in 8 bits, [S, S, 3], resized by `resize_bicubic`. Throws `Error(invalid_input)` for an image without
  /// pixels.
  Image resize(const Image& image) const;
  /// [3, S, S], f32.
  HostTensor pixels(const Image& image) const;
  /// [B, 3, S, S], f32.
  HostTensor batch(std::span<const Image> images) const;
  /// Writes the [3, S, S] values of one picture, for callers that fill a batch from several threads.
  void write_pixels(const Image& image, std::span<float> out) const;

  bool operator==(const Preprocessor&) const = default;
};

/// Reads a Hugging Face `preprocessor_config.json`: `size` (a number, {"height", "width"} or {"shortest_edge"}),
/// `crop_size`, `do_center_crop`, `resample`, `image_mean`, `image_std`; what is absent has the defaults above.
/// Throws `Error(invalid_model)` that names `name` and the key for malformed values, `Error(unsupported)` for
/// well-formed ones that `Preprocessor` cannot follow (another filter, oblong sizes, steps switched off).
Preprocessor preprocessor_from_json(const nlohmann::json& config, const std::string& name);

/// What `preprocessor_from_json` reads back, and `transformers` too.
nlohmann::json to_json(const Preprocessor& preprocessor);

}  // namespace capdiff
