#include "capdiff/image/exif.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace capdiff {
namespace {

enum class ByteOrder { big, little };

/// Unsigned integers anywhere in a buffer that is not to be trusted.
class BoundedReader {
 public:
  BoundedReader(std::span<const std::byte> bytes, ByteOrder order) : bytes_(bytes), order_(order) {}

  std::optional<std::uint32_t> u8(std::size_t at) const { return read(at, 1); }
  std::optional<std::uint32_t> u16(std::size_t at) const { return read(at, 2); }
  std::optional<std::uint32_t> u32(std::size_t at) const { return read(at, 4); }

 private:
  std::optional<std::uint32_t> read(std::size_t at, std::size_t count) const {
    if (at > bytes_.size() || bytes_.size() - at < count) return std::nullopt;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t k = order_ == ByteOrder::big ? i : count - 1 - i;
      value = value << 8 | std::to_integer<std::uint32_t>(bytes_[at + k]);
    }
    return value;
  }

  std::span<const std::byte> bytes_;
  ByteOrder order_;
};

bool starts_with(std::span<const std::byte> bytes, std::string_view prefix) {
  return bytes.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), bytes.begin(), [](char c, std::byte b) {
           return static_cast<unsigned char>(c) == std::to_integer<unsigned char>(b);
         });
}

}  // namespace

std::span<const std::byte> find_jpeg_exif(std::span<const std::byte> jpeg) {
  constexpr std::uint32_t kApp1 = 0xe1, kStartOfScan = 0xda, kEndOfImage = 0xd9;
  constexpr std::string_view kSignature("Exif\0\0", 6);
  const BoundedReader reader(jpeg, ByteOrder::big);
  std::size_t at = 2;  // after the start-of-image marker
  while (reader.u8(at) == 0xffu) {
    const auto marker = reader.u8(at + 1);
    if (marker == 0xffu) {  // fill byte
      ++at;
      continue;
    }
    if (!marker || *marker == kStartOfScan || *marker == kEndOfImage) break;
    const auto length = reader.u16(at + 2);  // counts its own two bytes
    if (!length || *length < 2 || jpeg.size() - at - 2 < *length) break;
    const auto body = jpeg.subspan(at + 4, *length - 2);
    if (*marker == kApp1 && starts_with(body, kSignature)) return body.subspan(kSignature.size());
    at += 2 + *length;
  }
  return {};
}

Orientation exif_orientation(std::span<const std::byte> tiff) {
  constexpr std::uint32_t kOrientationTag = 0x0112, kShort = 3, kLong = 4;
  constexpr std::size_t kEntrySize = 12;
  const bool little = starts_with(tiff, std::string_view("II\x2a\0", 4));
  if (!little && !starts_with(tiff, std::string_view("MM\0\x2a", 4))) return Orientation::top_left;
  const BoundedReader reader(tiff, little ? ByteOrder::little : ByteOrder::big);

  const std::size_t directory = reader.u32(4).value_or(0);
  const std::uint32_t entries = reader.u16(directory).value_or(0);
  for (std::uint32_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntrySize;
    const auto tag = reader.u16(entry);
    if (!tag) break;
    if (*tag != kOrientationTag) continue;
    const auto type = reader.u16(entry + 2);
    std::optional<std::uint32_t> value;
    if (reader.u32(entry + 4) == 1u) {
      if (type == kShort) value = reader.u16(entry + 8);
      if (type == kLong) value = reader.u32(entry + 8);
    }
    if (value && *value >= 1 && *value <= 8) return static_cast<Orientation>(*value);
    break;
  }
  return Orientation::top_left;
}

Image turn_upright(Image image, Orientation orientation) {
  if (orientation == Orientation::top_left) return image;
  const bool transposed = orientation >= Orientation::left_top;
  Image upright = transposed ? Image(image.height, image.width) : Image(image.width, image.height);

  const auto stride = static_cast<std::ptrdiff_t>(image.stride());
  const std::ptrdiff_t last_x = image.width - 1, last_y = image.height - 1;
  // The stored pixel that becomes the upright top left corner, and the way from a pixel to its right and lower
  // neighbour.
  std::ptrdiff_t corner = 0, right = 3, down = stride;
  switch (orientation) {
    case Orientation::top_left: break;
    case Orientation::top_right: corner = 3 * last_x, right = -3, down = stride; break;
    case Orientation::bottom_right: corner = stride * last_y + 3 * last_x, right = -3, down = -stride; break;
    case Orientation::bottom_left: corner = stride * last_y, right = 3, down = -stride; break;
    case Orientation::left_top: corner = 0, right = stride, down = 3; break;
    case Orientation::right_top: corner = stride * last_y, right = -stride, down = 3; break;
    case Orientation::right_bottom: corner = stride * last_y + 3 * last_x, right = -stride, down = -3; break;
    case Orientation::left_bottom: corner = 3 * last_x, right = stride, down = -3; break;
  }
  const std::uint8_t* const stored = image.rgb.data();
  std::uint8_t* out = upright.rgb.data();
  for (std::ptrdiff_t y = 0; y < upright.height; ++y)
    for (std::ptrdiff_t x = 0; x < upright.width; ++x, out += 3)
      std::copy_n(stored + corner + y * down + x * right, 3, out);
  return upright;
}

}  // namespace capdiff
