#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "capdiff/image/image.h"

namespace capdiff {

/// Makes a picture smaller by a whole factor while its rows come in, so that it is never held at full size. A pixel is
/// the rounded mean of factor x factor stored ones, of those that exist at the right and lower border. Factor 1 keeps
/// all.
class RowReducer {
 public:
  /// For a picture of width x height pixels. The result has ceil(width / factor) x ceil(height / factor).
  RowReducer(int width, int height, int factor);

  /// The next row, RGB, [width, 3]. At most `height` of them.
  void add(std::span<const std::uint8_t> row);
  /// The picture, its missing rows filled with `missing`.
  Image finish(std::uint8_t missing);

 private:
  /// Writes the mean of `rows_` rows as the next row of the result.
  void write_row();

  int width_, height_, factor_;
  int added_ = 0, written_ = 0, rows_ = 0;
  std::vector<std::uint32_t> sums_;  // of one row of the result
  Image out_;
};

/// The same of a picture in memory.
Image reduce(Image image, int factor);

}  // namespace capdiff
