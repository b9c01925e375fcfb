#pragma once

#include <optional>

#include "capdiff/nn/probe.h"

namespace capdiff {

/// How a picture becomes the tokens of a ViT: a convolution with a stride of its own size, a class token in front,
/// learned positions added.
class PatchEmbedding {
 public:
  /// `weight` [width, 3, P, P], `bias` [width] where there is one; `class_token` and `positions` may have any shape
  /// with the elements of [width] and [1 + N, width].
  PatchEmbedding(Backend& backend, const Parameter& weight, const std::optional<Parameter>& bias,
                 const Parameter& class_token, const Parameter& positions);

  /// pixels [B, 3, S, S] → [B, 1 + N, width], N = (S / P)² patches row by row behind the class token. Probes `conv1`:
  /// the patches [B, N, width] before positions are added.
  Value operator()(const Value& pixels, const Probe& probe = {}) const;

 private:
  Backend* backend_;
  std::int64_t width_, patch_;
  Packed patches_;
  Value class_token_, positions_;
};

/// x [B, L, width] → its first tokens [B, width].
Value first_tokens(Backend& backend, const Value& x);

}  // namespace capdiff
