#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "capdiff/image/exif.h"
#include "capdiff/image/image.h"

/// The decoders behind `decode`, one per file format. Both take the pixels as stored and leave EXIF to the caller.
namespace capdiff::codecs {

struct Decoded {
  Image image;
  Orientation orientation = Orientation::top_left;
};

Decoded decode_jpeg(std::span<const std::byte> bytes, std::string_view name, std::uint64_t max_pixels);
Decoded decode_png(std::span<const std::byte> bytes, std::string_view name, std::uint64_t max_pixels);

/// Throws `Error(unsupported)` where a header announces more than `max_pixels`, or a side of more than a million.
void check_size(std::uint64_t width, std::uint64_t height, std::string_view name, std::uint64_t max_pixels);

/// a * b / 255, rounded, for values of 0..255.
constexpr std::uint8_t scale_255(unsigned a, unsigned b) {
  return static_cast<std::uint8_t>((a * b + 127) / 255);
}

}  // namespace capdiff::codecs
