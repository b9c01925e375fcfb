#include "capdiff/training/photo_features.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

namespace capdiff {
namespace {

constexpr std::int64_t kEncodedAtOnce = 32;

/// `part` [b, …] at the rows of `whole` from `row` on.
void put_rows(const HostTensor& part, HostTensor& whole, std::int64_t row) {
  const std::size_t bytes = whole.byte_size() / static_cast<std::size_t>(whole.shape()[0]);
  std::memcpy(whole.mutable_bytes().data() + static_cast<std::size_t>(row) * bytes, part.bytes().data(),
              part.byte_size());
}

}  // namespace

PhotoFeatures photo_features(TorchBackend& backend, const ImageEncoder& encoder, const Preprocessor& preprocessor,
                             const PhotoStore& photos) {
  const torch::NoGradGuard frozen;
  const std::int64_t rows = photos.size() + 1, side = preprocessor.size;
  const auto picture = static_cast<std::size_t>(3 * side * side);
  PhotoFeatures features;
  for (std::int64_t first = 0; first < rows; first += kEncodedAtOnce) {
    const std::int64_t count = std::min(kEncodedAtOnce, rows - first);
    HostTensor pixels(DType::f32, {count, 3, side, side});
    const auto out = pixels.mutable_values<float>();
    at::parallel_for(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        if (first + i < photos.size() && photos.readable(first + i))
          preprocessor.write_pixels(photos.photo(first + i),
                                    out.subspan(static_cast<std::size_t>(i) * picture, picture));
    });
    const ImageTokens tokens = encoder.encode(backend.upload(pixels));
    const HostTensor patches = backend.download(tokens.patches), pooled = backend.download(tokens.pooled);
    if (first == 0) {
      features.patches = HostTensor(DType::f32, {rows, patches.shape()[1], patches.shape()[2]});
      features.pooled = HostTensor(DType::f32, {rows, pooled.shape()[1]});
    }
    put_rows(patches, features.patches, first);
    put_rows(pooled, features.pooled, first);
  }
  return features;
}

}  // namespace capdiff
