#include "capdiff/diffusion/back_and_refine.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace capdiff {

HostTensor BackAndRefine::kept(const HostTensor& confidence) const {
  // Products such as L · (1 − 0.8) must not fall below the whole number they stand for.
  constexpr double kRounding = 1e-9;
  const std::int64_t batch = confidence.shape()[0], length = confidence.shape()[1];
  const double size = static_cast<double>(length);
  const auto keep = noisy ? length - static_cast<std::int64_t>(std::floor(size * share + kRounding))
                          : static_cast<std::int64_t>(std::floor(size * (1.0 - share) + kRounding));
  HostTensor mask(DType::f32, {batch, length, 1});
  auto out = mask.mutable_values<float>();
  for (std::int64_t b = 0; b < batch; ++b) {
    const auto row =
        confidence.values<float>().subspan(static_cast<std::size_t>(b * length), static_cast<std::size_t>(length));
    const auto kept_row = out.subspan(static_cast<std::size_t>(b * length), static_cast<std::size_t>(length));
    if (min_confidence) {
      std::ranges::transform(row, kept_row.begin(), [&](float c) { return c >= *min_confidence ? 1.0f : 0.0f; });
      continue;
    }
    std::vector<std::size_t> order(row.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, [&](std::size_t i, std::size_t j) { return row[i] > row[j]; });
    for (std::int64_t k = 0; k < keep; ++k) kept_row[order[static_cast<std::size_t>(k)]] = 1.0f;
  }
  return mask;
}

}  // namespace capdiff
