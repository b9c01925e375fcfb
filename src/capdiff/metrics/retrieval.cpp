#include "capdiff/metrics/retrieval.h"

#include <algorithm>

#include "capdiff/base/error.h"

namespace capdiff {

double recall_at(const HostTensor& nearness, std::int64_t k) {
  const Shape& shape = nearness.shape();
  if (shape.rank() != 2 || shape[0] != shape[1] || shape[0] == 0)
    fail(ErrorCode::internal, "[recall] nearness of shape {}; expected [N, N]", to_string(shape));
  const auto count = static_cast<std::size_t>(shape[0]);
  std::size_t found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto row = nearness.values<float>().subspan(i * count, count);
    // The entry itself is one of those.
    found += std::ranges::count_if(row, [&](float other) { return other >= row[i]; }) <= k ? 1 : 0;
  }
  return static_cast<double>(found) / static_cast<double>(count);
}

}  // namespace capdiff
