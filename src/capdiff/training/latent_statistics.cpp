#include "capdiff/training/latent_statistics.h"

#include <cmath>

#include "capdiff/base/error.h"

namespace capdiff {

LatentStatistics latent_statistics(Backend& backend, const SplitBert& text, const EncodedCaptions& captions,
                                   std::span<const std::int64_t> indices) {
  constexpr std::size_t kBatch = 256;
  const auto width = static_cast<std::size_t>(text.width());
  std::vector<double> sum(width), sum_of_squares(width);
  double count = 0.0;
  for (std::size_t begin = 0; begin < indices.size(); begin += kBatch) {
    const TokenBatch batch = captions.batch(indices.subspan(begin, std::min(kBatch, indices.size() - begin)));
    const HostTensor hidden = backend.download(text.hidden(batch)), special = special_positions(batch);
    for (std::size_t row = 0; row < special.values<float>().size(); ++row) {
      if (special.values<float>()[row] != 0.0f) continue;
      const auto h = hidden.values<float>().subspan(row * width, width);
      for (std::size_t d = 0; d < width; ++d) {
        sum[d] += h[d];
        sum_of_squares[d] += static_cast<double>(h[d]) * h[d];
      }
      count += 1.0;
    }
  }
  if (count < 2.0) fail(ErrorCode::invalid_input, "latent statistics need captions with at least two words in all");
  LatentStatistics statistics{HostTensor(DType::f32, {text.width()}), HostTensor(DType::f32, {text.width()})};
  for (std::size_t d = 0; d < width; ++d) {
    const double mean = sum[d] / count;
    const double variance = (sum_of_squares[d] - count * mean * mean) / (count - 1.0);
    statistics.mean.mutable_values<float>()[d] = static_cast<float>(mean);
    statistics.std.mutable_values<float>()[d] = static_cast<float>(std::sqrt(std::max(variance, 1e-12)));
  }
  return statistics;
}

}  // namespace capdiff
