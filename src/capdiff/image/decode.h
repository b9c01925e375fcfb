#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "capdiff/image/image.h"

namespace capdiff {

struct DecodeOptions {
  /// Turns photos upright. Off, the pixels stay as stored, which is what the published evaluation pipelines see.
  bool apply_exif_orientation = true;
  /// Largest width * height, read from the header before memory is taken.
  std::uint64_t max_pixels = 178'956'970;
};

/// Decodes a JPEG or PNG file held in memory, whatever it is called. JPEG is decoded as Pillow does it (accurate
/// integer DCT, smooth chroma upsampling), greyscale is replicated and CMYK converted. PNG may have any colour type
/// and depth: 16-bit samples keep their upper byte, transparency is composited on white.
///
/// `name` is the file as people know it; every error begins with it. Throws `Error(invalid_input)` for empty, foreign,
/// damaged and truncated data, `Error(unsupported)` for pictures larger than `max_pixels` or with a side of more
/// than a million pixels.
Image decode(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options = {});

/// Reads and decodes a file of at most 1 GiB. Throws as `decode` does, and what `read_file` throws.
Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {});

}  // namespace capdiff
