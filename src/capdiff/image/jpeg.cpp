#include <turbojpeg.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/image/codecs.h"

namespace capdiff::codecs {
namespace {

using Decompressor = std::unique_ptr<void, decltype([](tjhandle handle) { tjDestroy(handle); })>;

/// Adobe's convention, which Pillow assumes too: CMYK is stored inverted, so that 255 means no ink.
std::vector<std::uint8_t> rgb_of_inverted_cmyk(const std::vector<std::uint8_t>& cmyk) {
  std::vector<std::uint8_t> rgb(cmyk.size() / 4 * 3);
  for (std::size_t i = 0; i < rgb.size() / 3; ++i)
    for (std::size_t c = 0; c < 3; ++c) rgb[3 * i + c] = scale_255(cmyk[4 * i + c], cmyk[4 * i + 3]);
  return rgb;
}

/// Whether the picture comes in several scans (SOF2, SOF6, SOF10, SOF14), so that the decoder holds coefficients of all
/// of it. What has no frame header where it belongs counts as such.
bool is_progressive(std::span<const std::byte> jpeg) {
  constexpr std::array kProgressive = {0xc2u, 0xc6u, 0xcau, 0xceu};
  constexpr std::array kOther = {0xc0u, 0xc1u, 0xc3u, 0xc5u, 0xc7u, 0xc9u, 0xcbu, 0xcdu, 0xcfu};
  const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(jpeg[i]); };
  for (std::size_t at = 2; at + 4 <= jpeg.size() && byte(at) == 0xff;) {
    const unsigned marker = byte(at + 1);
    if (std::ranges::find(kProgressive, marker) != kProgressive.end()) return true;
    if (std::ranges::find(kOther, marker) != kOther.end()) return false;
    at += marker == 0xff ? 1 : 2 + (byte(at + 2) << 8 | byte(at + 3));  // a fill byte, or a segment
  }
  return true;
}

}  // namespace

Decoded decode_jpeg(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options) {
  const Decompressor decompressor(tjInitDecompress());
  if (!decompressor) fail(ErrorCode::internal, "{}: the JPEG decoder could not be created", name);
  if (bytes.size() > std::numeric_limits<unsigned long>::max())
    fail(ErrorCode::unsupported, "{}: {} bytes are too many for a JPEG image", name, bytes.size());
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto size = static_cast<unsigned long>(bytes.size());

  // The header counts as read once it has named a colour space: TurboJPEG goes on to refuse chroma subsamplings that it
  // has no name for, but decodes them.
  int width = 0, height = 0, subsampling = 0, colorspace = -1;
  if (tjDecompressHeader3(decompressor.get(), data, size, &width, &height, &subsampling, &colorspace) != 0 &&
      (width <= 0 || height <= 0 || colorspace < 0))
    fail(ErrorCode::invalid_input, "{}: broken JPEG image: {}", name, tjGetErrorStr2(decompressor.get()));
  if (width <= 0 || height <= 0) fail(ErrorCode::invalid_input, "{}: JPEG image without pixels", name);
  const int reduction =
      checked_reduction(static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height),
                        is_progressive(bytes) ? Holds::whole_picture : Holds::few_rows, name, options.max_pixels);
  const tjscalingfactor scale{1, reduction};
  const int out_width = TJSCALED(width, scale), out_height = TJSCALED(height, scale);

  const bool cmyk = colorspace == TJCS_CMYK || colorspace == TJCS_YCCK;
  const TJPF format = cmyk ? TJPF_CMYK : TJPF_RGB;
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(out_width) * static_cast<std::size_t>(out_height) *
                                       static_cast<std::size_t>(tjPixelSize[format]),
                                   kMissing);
  // A warning means that pixels were made up, most often because the file ends early. Progressive files may have scans
  // without end, each over the whole picture.
  const int flags = TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS | (options.allow_truncated ? 0 : TJFLAG_STOPONWARNING);
  const bool complete =
      tjDecompress2(decompressor.get(), data, size, pixels.data(), out_width, 0, out_height, format, flags) == 0;
  if (!complete && (!options.allow_truncated || tjGetErrorCode(decompressor.get()) != TJERR_WARNING))
    fail(ErrorCode::invalid_input, "{}: broken JPEG image: {}", name, tjGetErrorStr2(decompressor.get()));
  if (cmyk) pixels = rgb_of_inverted_cmyk(pixels);
  return {Image(out_width, out_height, std::move(pixels)), exif_orientation(find_jpeg_exif(bytes)), complete};
}

}  // namespace capdiff::codecs
