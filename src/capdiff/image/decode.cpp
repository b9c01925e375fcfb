#include "capdiff/image/decode.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/image/codecs.h"

namespace capdiff {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;

/// Beyond any camera; keeps what is proportional to a side (row tables, filter weights) small.
constexpr std::uint64_t kMaxSide = 1'000'000;

/// The first bytes that tell file formats apart, at an offset from the beginning.
struct Magic {
  std::size_t offset;
  std::string_view bytes;
  std::string_view format;

  bool matches(std::string_view content) const {
    return content.size() >= offset && content.substr(offset).starts_with(bytes);
  }
};

constexpr Magic kJpeg{0, "\xff\xd8\xff", "JPEG"};
constexpr Magic kPng{0, "\x89PNG\r\n\x1a\n", "PNG"};
constexpr Magic kWebp{8, "WEBP", "WebP"};  // behind "RIFF" and a length
constexpr Magic kForeign[] = {
    {0, "GIF8", "GIF image"},
    {0, "BM", "BMP image"},
    {0, {"II\x2a\0", 4}, "TIFF image"},
    {0, {"MM\0\x2a", 4}, "TIFF image"},
    {4, "ftyp", "HEIF, AVIF or video file"},
    {0, "%PDF", "PDF document"},
    {0, "PK\x03\x04", "ZIP archive"},
    {0, "\x1f\x8b", "gzip file"},
};

/// A guess for error messages; downloads that failed are most often text.
std::string_view describe(std::string_view content) {
  for (const Magic& magic : kForeign)
    if (magic.matches(content)) return magic.format;
  const std::string_view head = content.substr(0, 512);
  const bool text = std::none_of(head.begin(), head.end(), [](unsigned char c) {
    return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
  });
  return text ? "text file" : "file of unknown format";
}

/// Whether hardly anything is left of a cut file: fewer than one pixel of twenty differs from the last, which is
/// missing.
bool says_nothing(const Image& image) {
  const std::span<const std::uint8_t> rgb(image.rgb), last = rgb.last(3);
  std::size_t different = 0;
  for (std::size_t i = 0; i < rgb.size(); i += 3) different += !std::ranges::equal(rgb.subspan(i, 3), last);
  return 20 * different < rgb.size() / 3;
}

codecs::Decoded decode_stored(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options) {
  const std::string_view content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (kJpeg.matches(content)) return codecs::decode_jpeg(bytes, name, options);
  if (kPng.matches(content)) return codecs::decode_png(bytes, name, options);
  if (kWebp.matches(content)) return codecs::decode_webp(bytes, name, options);
  fail(ErrorCode::invalid_input, "{}: not a JPEG, PNG or WebP image (looks like a {})", name, describe(content));
}

}  // namespace

namespace codecs {

int checked_reduction(std::uint64_t width, std::uint64_t height, Holds holds, std::string_view name,
                      std::uint64_t max_pixels) {
  if (width > kMaxSide || height > kMaxSide)
    fail(ErrorCode::unsupported, "{}: {} x {} pixels are more than the limit of {} pixels a side", name, width, height,
         kMaxSide);
  const int reduction = reduction_of(width, height);
  const std::uint64_t limit = holds == Holds::few_rows && reduction > 1 ? 4 * max_pixels : max_pixels;
  if (width * height > limit)
    fail(ErrorCode::unsupported, "{}: {} x {} pixels are more than the limit of {} pixels", name, width, height, limit);
  return reduction;
}

void composite_on_white(std::span<const std::uint8_t> rgba, std::span<std::uint8_t> rgb) {
  for (std::size_t i = 0; i < rgba.size() / 4; ++i) {
    const unsigned alpha = rgba[4 * i + 3];
    for (std::size_t c = 0; c < 3; ++c)
      rgb[3 * i + c] = static_cast<std::uint8_t>(255 - scale_255(255u - rgba[4 * i + c], alpha));
  }
}

}  // namespace codecs

int reduction_of(std::uint64_t width, std::uint64_t height) {
  constexpr std::uint64_t kShorterSide = 1024;
  for (const int factor : {8, 4, 2})
    if (std::min(width, height) / static_cast<std::uint64_t>(factor) >= kShorterSide) return factor;
  return 1;
}

Image decode(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options) {
  if (bytes.empty()) fail(ErrorCode::invalid_input, "{}: is empty, expected a JPEG, PNG or WebP image", name);
  codecs::Decoded decoded = decode_stored(bytes, name, options);
  if (!decoded.complete && says_nothing(decoded.image))
    fail(ErrorCode::invalid_input, "{}: less than a twentieth of the picture is left", name);
  Image image = options.apply_exif_orientation ? turn_upright(std::move(decoded.image), decoded.orientation)
                                               : std::move(decoded.image);
  image.truncated = !decoded.complete;
  return image;
}

Image read_image(const std::filesystem::path& path, const DecodeOptions& options) {
  const std::vector<std::byte> bytes = read_file(path, kMaxFileBytes);
  return decode(bytes, path.string(), options);
}

}  // namespace capdiff
