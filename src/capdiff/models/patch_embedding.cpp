#include "capdiff/models/patch_embedding.h"

#include <array>

#include "capdiff/models/image_encoder.h"

namespace capdiff {

PatchEmbedding::PatchEmbedding(Backend& backend, const Parameter& weight, const std::optional<Parameter>& bias,
                               const Parameter& class_token, const Parameter& positions)
    : backend_(&backend),
      width_(weight.value.shape()[0]),
      patch_(weight.value.shape()[-1]),
      patches_(backend.bind_conv2d(weight, bias, 1)),
      class_token_(backend.bind(class_token)),
      positions_(backend.bind(positions)) {}

Value PatchEmbedding::operator()(const Value& pixels, const Probe& probe) const {
  Backend& b = *backend_;
  const std::int64_t batch = pixels.shape()[0];
  const Value image = b.permute(pixels, std::array{0, 2, 3, 1});
  const Value grid = b.conv2d(image, patches_, Conv2dOptions::padded(0, patch_));
  const std::int64_t count = grid.shape()[1] * grid.shape()[2];
  const Value patches = b.reshape(grid, {batch, count, width_});
  if (probe) probe("conv1", patches);
  const Value class_token = repeat_batch(b, b.reshape(class_token_, {1, 1, width_}), batch);
  return b.add(b.concat(std::array{class_token, patches}, 1), b.reshape(positions_, {1, 1 + count, width_}));
}

Value first_tokens(Backend& backend, const Value& x) {
  return backend.reshape(backend.slice(x, 1, 0, 1), {x.shape()[0], x.shape()[2]});
}

}  // namespace capdiff
