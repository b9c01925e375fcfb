#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "capdiff/image/decode.h"
#include "capdiff/image/exif.h"
#include "capdiff/image/image.h"

/// The decoders behind `decode`, one per file format. All take the pixels as stored and leave EXIF to the caller.
namespace capdiff::codecs {

struct Decoded {
  Image image;
  Orientation orientation = Orientation::top_left;
  bool complete = true;  ///< false where `allow_truncated` let pixels through that the file does not have
};

Decoded decode_jpeg(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options);
Decoded decode_png(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options);
Decoded decode_webp(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options);

/// Whether a decoder holds all pixels of a file at once, or reduces the picture while it reads.
enum class Holds { whole_picture, few_rows };

/// By what a picture is reduced (`reduction_of`), after a look at its size. Throws `Error(unsupported)` where a header
/// announces a side of more than a million, or more than `max_pixels`; four times as many where the picture is reduced
/// and only few rows are held.
int checked_reduction(std::uint64_t width, std::uint64_t height, Holds holds, std::string_view name,
                      std::uint64_t max_pixels);

/// What pixels are that a truncated file does not have: the grey that JPEG decoders leave there.
inline constexpr std::uint8_t kMissing = 128;

/// a * b / 255, rounded, for values of 0..255.
constexpr std::uint8_t scale_255(unsigned a, unsigned b) {
  return static_cast<std::uint8_t>((a * b + 127) / 255);
}

/// From RGBA, not multiplied, to RGB over white, of as many pixels; `rgb` may be the same memory.
void composite_on_white(std::span<const std::uint8_t> rgba, std::span<std::uint8_t> rgb);

}  // namespace capdiff::codecs
