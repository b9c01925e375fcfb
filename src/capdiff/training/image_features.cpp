#include "capdiff/training/image_features.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "capdiff/base/progress.h"

namespace capdiff {
namespace {

constexpr std::int64_t kSeenAtOnce = 32;

}  // namespace

std::span<const float> ImageFeatures::row(std::int64_t photo) const {
  const auto width = static_cast<std::size_t>(features.shape()[1]);
  return features.values<float>().subspan(static_cast<std::size_t>(photo) * width, width);
}

ImageFeatures image_features(TorchBackend& backend, const PrefixModel& model, const Preprocessor& preprocessor,
                             std::int64_t count, const ReadPhoto& read) {
  const torch::NoGradGuard frozen;
  const std::int64_t side = preprocessor.size, width = model.config().clip.embed;
  const auto picture = static_cast<std::size_t>(3 * side * side);
  ImageFeatures result{HostTensor(DType::f32, {count, width}), std::vector<bool>(static_cast<std::size_t>(count))};
  Progress progress("looking at photos", static_cast<std::uint64_t>(count));
  for (std::int64_t first = 0; first < count; first += kSeenAtOnce) {
    const std::int64_t rows = std::min(kSeenAtOnce, count - first);
    HostTensor pixels(DType::f32, {rows, 3, side, side});
    const auto out = pixels.mutable_values<float>();
    std::array<bool, kSeenAtOnce> seen{};
    at::parallel_for(0, rows, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const Image image = read(first + i);
        if (image.width == 0) continue;
        seen[static_cast<std::size_t>(i)] = true;
        preprocessor.write_pixels(image, out.subspan(static_cast<std::size_t>(i) * picture, picture));
      }
    });
    const HostTensor features = backend.download(model.image_feature(backend.upload(pixels)));
    for (std::int64_t i = 0; i < rows; ++i) {
      progress.advance();
      if (!seen[static_cast<std::size_t>(i)]) continue;
      result.readable[static_cast<std::size_t>(first + i)] = true;
      std::ranges::copy(
          features.values<float>().subspan(static_cast<std::size_t>(i * width), static_cast<std::size_t>(width)),
          result.features.mutable_values<float>().subspan(static_cast<std::size_t>((first + i) * width)).begin());
    }
  }
  return result;
}

}  // namespace capdiff
