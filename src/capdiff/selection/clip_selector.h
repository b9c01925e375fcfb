#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "capdiff/models/clip_encoder.h"

namespace capdiff {

/// Chooses captions by how near CLIP finds them to their pictures. Texts are taken as they are, without a prompt.
class ClipSelector {
 public:
  explicit ClipSelector(std::shared_ptr<const ClipEncoder> clip) : clip_(std::move(clip)) {}

  /// The cosine of picture i with each of `texts[i]`. Throws `Error(invalid_input)` where the numbers of pictures and
  /// lists differ.
  std::vector<std::vector<double>> cosines(std::span<const Image> images,
                                           std::span<const std::vector<std::string>> texts) const;

 private:
  std::shared_ptr<const ClipEncoder> clip_;
};

}  // namespace capdiff
