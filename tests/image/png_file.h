#pragma once

#include <png.h>
#include <zlib.h>

#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "capdiff/image/image.h"
#include "tests/image/pictures.h"

/// PNG files of every kind, for the tests of this folder.
namespace capdiff::test {

struct PngSettings {
  int colour_type = PNG_COLOR_TYPE_RGB;
  int depth = 8;
  bool interlaced = false;
  std::function<void(png_structp, png_infop)> before_pixels = [](png_structp, png_infop) {};
  Bytes exif = {};
  int level = -1;  ///< of compression; -1 is the usual one
};

/// Rows as PNG stores them: packed samples, the upper byte first.
inline Bytes encode_png(const std::vector<std::vector<std::uint8_t>>& rows, int width,
                        const PngSettings& settings = {}) {
  Bytes file;
  const auto append = [](png_structp png, png_bytep data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    auto& out = *static_cast<Bytes*>(png_get_io_ptr(png));
    out.insert(out.end(), bytes.begin(), bytes.end());
  };
  const auto on_error = [](png_structp, png_const_charp message) { throw std::runtime_error(message); };
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, on_error, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &file, append, [](png_structp) {});
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(rows.size()), settings.depth,
               settings.colour_type, settings.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_compression_level(png, settings.level);
  settings.before_pixels(png, info);
  Bytes exif = settings.exif;
  if (!exif.empty())
    png_set_eXIf_1(png, info, static_cast<png_uint_32>(exif.size()), reinterpret_cast<png_bytep>(exif.data()));
  png_write_info(png, info);
  std::vector<std::vector<std::uint8_t>> writable = rows;
  std::vector<png_bytep> pointers;
  for (auto& row : writable) pointers.push_back(row.data());
  png_write_image(png, pointers.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return file;
}

inline std::vector<std::vector<std::uint8_t>> rows_of(const Image& image) {
  std::vector<std::vector<std::uint8_t>> rows;
  for (int y = 0; y < image.height; ++y) rows.emplace_back(image.row(y).begin(), image.row(y).end());
  return rows;
}

/// A chunk with its checksum.
inline Bytes png_chunk(std::string_view type, const Bytes& body) {
  const auto be32 = [](std::uint32_t v) {
    return Bytes{std::byte(v >> 24), std::byte(v >> 16 & 0xff), std::byte(v >> 8 & 0xff), std::byte(v & 0xff)};
  };
  const Bytes covered = joined({bytes_of(type), body});
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(covered.data()), static_cast<uInt>(covered.size()));
  return joined({be32(static_cast<std::uint32_t>(body.size())), covered, be32(static_cast<std::uint32_t>(crc))});
}

}  // namespace capdiff::test
