#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace capdiff {

/// A rectangle of pixels: columns [x, x + width), rows [y, y + height).
struct Box {
  int x = 0, y = 0, width = 0, height = 0;

  bool operator==(const Box&) const = default;
};

/// A picture in 8-bit RGB, sRGB as stored. `rgb` is [height, width, 3], row-major, without padding.
struct Image {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;
  bool truncated = false;  ///< whether the file ended early or was damaged, and only a part of this is the picture

  /// No picture: 0 by 0.
  Image() = default;
  /// A black picture. Throws `Error(invalid_input)` unless both sides are positive.
  Image(int width, int height);
  /// Takes `rgb` as it is. Throws `Error(invalid_input)` unless its size is height * width * 3.
  Image(int width, int height, std::vector<std::uint8_t> rgb);

  /// Bytes of one row, 3 * width.
  std::size_t stride() const { return static_cast<std::size_t>(width) * 3; }
  std::span<const std::uint8_t> row(int y) const {
    assert(y >= 0 && y < height);
    return {rgb.data() + static_cast<std::size_t>(y) * stride(), stride()};
  }
  std::span<std::uint8_t> row(int y) {
    assert(y >= 0 && y < height);
    return {rgb.data() + static_cast<std::size_t>(y) * stride(), stride()};
  }

  bool operator==(const Image&) const = default;
};

/// Identifies a picture by its pixels: what is drawn at random for it depends on this.
std::uint64_t content_hash(const Image& image);

/// Mirrored left to right.
Image flip_horizontal(const Image& image);

}  // namespace capdiff
