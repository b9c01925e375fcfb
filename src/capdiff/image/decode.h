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
  /// Largest width * height, read from the header before memory is taken. Large JPEG and PNG files that are reduced
  /// while they are read may have four times as many, for only a quarter is ever held.
  std::uint64_t max_pixels = 178'956'970;
  /// Takes what there is of a file that ends early or is damaged; the rest of the picture is grey, and it is
  /// marked as `truncated`. Off, that is an
  /// error, and so it is where less than a twentieth of the pixels is left.
  bool allow_truncated = false;
};

/// Decodes a JPEG, PNG or WebP file held in memory, whatever it is called. JPEG is decoded as Pillow does it (accurate
/// integer DCT, smooth chroma upsampling), greyscale is replicated and CMYK, inverted as Adobe writes it, converted.
/// PNG may have any colour type and depth: 16-bit samples keep their upper byte. Transparency is composited on white,
/// and of a moving picture the first frame is taken. Large pictures are reduced, see `reduction_of`.
///
/// `name` is the file as people know it; every error begins with it. Throws `Error(invalid_input)` for empty, foreign,
/// damaged and truncated data, `Error(unsupported)` for pictures larger than `max_pixels` or with a side of more
/// than a million pixels.
Image decode(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options = {});

/// Reads and decodes a file of at most 1 GiB. Throws as `decode` does, and what `read_file` throws.
Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {});

/// 1, 2, 4 or 8: a picture is decoded at that part of its width and height. It is the largest that leaves the shorter
/// side 1024 pixels, several times what any model looks at; below 2048 pixels every pixel is kept.
int reduction_of(std::uint64_t width, std::uint64_t height);

}  // namespace capdiff
