#include "capdiff/image/image.h"

#include <algorithm>
#include <utility>

#include "capdiff/base/error.h"
#include "capdiff/base/hash.h"

namespace capdiff {
namespace {

/// Two positive ints and a factor of three always fit in 64 bits.
std::size_t checked_byte_size(int width, int height) {
  if (width <= 0 || height <= 0) fail(ErrorCode::invalid_input, "a picture cannot be {} x {} pixels", width, height);
  return static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3;
}

}  // namespace

Image::Image(int width_, int height_) : width(width_), height(height_), rgb(checked_byte_size(width_, height_)) {}

Image::Image(int width_, int height_, std::vector<std::uint8_t> rgb_)
    : width(width_), height(height_), rgb(std::move(rgb_)) {
  if (rgb.size() != checked_byte_size(width, height))
    fail(ErrorCode::invalid_input, "a picture of {} x {} pixels cannot have {} bytes", width, height, rgb.size());
}

std::uint64_t content_hash(const Image& image) {
  return xxh3_64(std::as_bytes(std::span(image.rgb))) ^ static_cast<std::uint64_t>(image.width);
}

Image flip_horizontal(const Image& image) {
  Image flipped = image;
  for (int y = 0; y < image.height; ++y) {
    const auto from = image.row(y);
    const auto to = flipped.row(y);
    for (std::size_t x = 0; x < from.size(); x += 3) std::copy_n(&from[x], 3, &to[to.size() - 3 - x]);
  }
  return flipped;
}

}  // namespace capdiff
