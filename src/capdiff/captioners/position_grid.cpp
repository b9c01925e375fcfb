#include "capdiff/captioners/position_grid.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "capdiff/base/error.h"

namespace capdiff {
namespace {

/// Four neighbouring cells of one axis, and how much each counts.
struct Taps {
  std::array<std::int64_t, 4> cells;
  std::array<double, 4> weights;
};

/// Of cell `i` out of `to` cells, in an axis that had `from`. Beyond the borders the outermost cells are repeated.
Taps taps_of(std::int64_t i, std::int64_t from, std::int64_t to) {
  constexpr double a = -0.75;
  const auto near = [](double x) { return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0; };
  const auto far = [](double x) { return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a; };
  const double centre = (static_cast<double>(i) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
  const double floor = std::floor(centre), t = centre - floor;
  Taps taps{{}, {far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)}};
  for (std::int64_t k = 0; k < 4; ++k)
    taps.cells[static_cast<std::size_t>(k)] =
        std::clamp<std::int64_t>(static_cast<std::int64_t>(floor) + k - 1, 0, from - 1);
  return taps;
}

}  // namespace

HostTensor resized_positions(const HostTensor& positions, std::int64_t side) {
  const std::int64_t width = positions.shape().cols(), cells = positions.shape()[1] - 1;
  const auto before = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(cells))));
  if (before * before != cells || side < 1)
    fail(ErrorCode::internal, "[resized_positions] {} cells to {} x {}", cells, side, side);
  HostTensor resized(DType::f32, {1, 1 + side * side, width});
  const auto from = positions.values<float>();
  const auto to = resized.mutable_values<float>();
  std::ranges::copy(from.first(static_cast<std::size_t>(width)), to.begin());
  for (std::int64_t y = 0; y < side; ++y) {
    const Taps rows = taps_of(y, before, side);
    for (std::int64_t x = 0; x < side; ++x) {
      const Taps columns = taps_of(x, before, side);
      for (std::int64_t d = 0; d < width; ++d) {
        double sum = 0.0;
        for (std::size_t r = 0; r < 4; ++r)
          for (std::size_t c = 0; c < 4; ++c)
            sum += rows.weights[r] * columns.weights[c] *
                   static_cast<double>(
                       from[static_cast<std::size_t>((1 + rows.cells[r] * before + columns.cells[c]) * width + d)]);
        to[static_cast<std::size_t>((1 + y * side + x) * width + d)] = static_cast<float>(sum);
      }
    }
  }
  return resized;
}

}  // namespace capdiff
