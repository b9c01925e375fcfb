#pragma once

#include <turbojpeg.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/image/image.h"

/// Pictures and files for the tests of this folder.
namespace capdiff::test {

using Bytes = std::vector<std::byte>;

inline Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline Bytes joined(std::initializer_list<std::span<const std::byte>> parts) {
  Bytes whole;
  for (const auto& part : parts) whole.insert(whole.end(), part.begin(), part.end());
  return whole;
}

/// The first `length` bytes, copied so that a sanitizer sees where they end.
inline Bytes prefix(std::span<const std::byte> bytes, std::size_t length) {
  const auto part = bytes.first(length);
  return {part.begin(), part.end()};
}

/// The synthetic picture of the resize vector: (7x + 13y + 29c + ((xy) mod 31)) mod 256.
inline Image synthetic(int width, int height) {
  Image image(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        image.row(y)[static_cast<std::size_t>(3 * x + c)] =
            static_cast<std::uint8_t>((7 * x + 13 * y + 29 * c + x * y % 31) % 256);
  return image;
}

/// Two smooth gradients and a constant: hardly changed by JPEG at high quality.
inline Image gradients(int width, int height) {
  Image image(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const auto pixel = image.row(y).subspan(static_cast<std::size_t>(3 * x), 3);
      pixel[0] = static_cast<std::uint8_t>(40 + 160 * x / width);
      pixel[1] = static_cast<std::uint8_t>(200 - 160 * y / height);
      pixel[2] = 90;
    }
  return image;
}

struct JpegSettings {
  TJPF format = TJPF_RGB;
  TJSAMP subsampling = TJSAMP_444;
  bool progressive = false;
};

/// Pixels in `settings.format`, without row padding.
inline Bytes encode_jpeg(std::span<const std::uint8_t> pixels, int width, int height, JpegSettings settings = {}) {
  const std::unique_ptr<void, decltype([](tjhandle handle) { tjDestroy(handle); })> compressor(tjInitCompress());
  unsigned char* data = nullptr;
  unsigned long size = 0;
  const int flags = TJFLAG_ACCURATEDCT | (settings.progressive ? TJFLAG_PROGRESSIVE : 0);
  const int status = tjCompress2(compressor.get(), pixels.data(), width, 0, height, settings.format, &data, &size,
                                 settings.subsampling, 98, flags);
  const std::unique_ptr<unsigned char, decltype([](unsigned char* p) { tjFree(p); })> owner(data);
  if (status != 0) throw std::runtime_error(tjGetErrorStr2(compressor.get()));
  const auto bytes = std::as_bytes(std::span(data, size));
  return {bytes.begin(), bytes.end()};
}

inline Bytes encode_jpeg(const Image& image, JpegSettings settings = {}) {
  return encode_jpeg(image.rgb, image.width, image.height, settings);
}

/// A TIFF structure of one directory with one entry.
inline Bytes tiff_with(std::uint16_t tag, std::uint16_t type, std::uint32_t value, bool little_endian) {
  std::string out = little_endian ? "II" : "MM";
  const auto put = [&](std::uint32_t number, int size) {
    for (int i = 0; i < size; ++i)
      out.push_back(static_cast<char>(number >> 8 * (little_endian ? i : size - 1 - i) & 0xff));
  };
  put(42, 2), put(8, 4);                 // header; the directory follows it
  put(1, 2), put(tag, 2), put(type, 2);  // one entry
  put(1, 4);                             // of one value
  if (type == 3)
    put(value, 2), put(0, 2);
  else
    put(value, 4);
  put(0, 4);  // no further directory
  return bytes_of(out);
}

inline Bytes orientation_tiff(unsigned orientation, bool little_endian = true) {
  return tiff_with(0x0112, 3, orientation, little_endian);
}

/// Inserts an APP1 segment behind the start-of-image marker.
inline Bytes with_exif(const Bytes& jpeg, const Bytes& tiff) {
  const std::size_t length = 2 + 6 + tiff.size();
  const Bytes header = {std::byte{0xff}, std::byte{0xe1}, std::byte(length >> 8), std::byte(length & 0xff)};
  const std::span<const std::byte> file(jpeg);
  return joined({file.first(2), header, bytes_of(std::string_view("Exif\0\0", 6)), tiff, file.subspan(2)});
}

/// The message of the `Error` that `call` throws, after checking its code; empty if it throws none.
template <class Call>
std::string error_of(ErrorCode code, Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code() == code ? error.what() : std::string("unexpected code: ") + error.what();
  }
  return {};
}

}  // namespace capdiff::test
