#include <turbojpeg.h>

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

}  // namespace

Decoded decode_jpeg(std::span<const std::byte> bytes, std::string_view name, std::uint64_t max_pixels) {
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
  check_size(static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height), name, max_pixels);

  const bool cmyk = colorspace == TJCS_CMYK || colorspace == TJCS_YCCK;
  const TJPF format = cmyk ? TJPF_CMYK : TJPF_RGB;
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
                                   static_cast<std::size_t>(tjPixelSize[format]));
  // A warning means that pixels were made up, most often because the file ends early. Progressive files may have scans
  // without end, each over the whole picture.
  constexpr int kFlags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
  if (tjDecompress2(decompressor.get(), data, size, pixels.data(), width, 0, height, format, kFlags) != 0)
    fail(ErrorCode::invalid_input, "{}: broken JPEG image: {}", name, tjGetErrorStr2(decompressor.get()));
  if (cmyk) pixels = rgb_of_inverted_cmyk(pixels);
  return {Image(width, height, std::move(pixels)), exif_orientation(find_jpeg_exif(bytes))};
}

}  // namespace capdiff::codecs
