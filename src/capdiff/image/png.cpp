#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/image/codecs.h"

namespace capdiff::codecs {
namespace {

/// libpng behind an interface that cannot leak. libpng reports errors by longjmp, which must not skip destructors: the
/// three methods that call it keep no objects on their stack and return false, and callers read `message()`.
class PngReader {
 public:
  explicit PngReader(std::span<const std::byte> bytes) : unread_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png_) info_ = png_create_info_struct(png_);
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  bool valid() const { return png_ && info_; }
  const char* message() const { return message_; }

  png_uint_32 width() const { return png_get_image_width(png_, info_); }
  png_uint_32 height() const { return png_get_image_height(png_, info_); }
  /// 3 for RGB, 4 for RGBA; after `start_pixels`.
  std::size_t channels() const { return png_get_channels(png_, info_); }

  /// Everything in front of the pixels.
  bool read_header() {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_set_read_fn(png_, this, on_read);
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // `check_size` has the say
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    // Of the chunks that pixels do not need, only the orientation matters; colour profiles and texts stay unread.
    png_byte exif[] = "eXIf";
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_AS_DEFAULT, exif, 1);
    png_read_info(png_, info_);
    return true;
  }

  /// Asks for 8-bit RGB or RGBA, whatever is stored.
  bool start_pixels() {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_set_expand(png_);
    png_set_strip_16(png_);
    png_set_gray_to_rgb(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  /// All rows, and everything behind them.
  bool read_pixels(png_bytep* rows) {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_read_image(png_, rows);
    png_read_end(png_, info_);
    return true;
  }

  std::span<const std::byte> exif() const {
    png_uint_32 size = 0;
    png_bytep data = nullptr;
    if (!png_get_eXIf_1(png_, info_, &size, &data)) return {};
    return {reinterpret_cast<const std::byte*>(data), size};
  }

 private:
  static void on_read(png_structp png, png_bytep out, std::size_t size) {
    auto* self = static_cast<PngReader*>(png_get_io_ptr(png));
    if (size > self->unread_.size()) png_error(png, "the file ends early");
    std::memcpy(out, self->unread_.data(), size);
    self->unread_ = self->unread_.subspan(size);
  }

  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    auto* self = static_cast<PngReader*>(png_get_error_ptr(png));
    std::strncpy(self->message_, message, sizeof self->message_ - 1);
    png_longjmp(png, 1);
  }

  // libpng warns of oddities that leave the pixels whole.
  static void on_warning(png_structp, png_const_charp) {}

  std::span<const std::byte> unread_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  char message_[160] = {};
};

/// From RGBA to RGB over white, in place: pixel i is written at 3i, never ahead of where it is read, at 4i.
void composite_on_white(std::vector<std::uint8_t>& pixels) {
  const std::size_t count = pixels.size() / 4;
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned alpha = pixels[4 * i + 3];
    for (std::size_t c = 0; c < 3; ++c)
      pixels[3 * i + c] = static_cast<std::uint8_t>(255 - scale_255(255u - pixels[4 * i + c], alpha));
  }
  pixels.resize(3 * count);
}

}  // namespace

Decoded decode_png(std::span<const std::byte> bytes, std::string_view name, std::uint64_t max_pixels) {
  PngReader reader(bytes);
  if (!reader.valid()) fail(ErrorCode::internal, "{}: the PNG decoder could not be created", name);
  if (!reader.read_header()) fail(ErrorCode::invalid_input, "{}: broken PNG image: {}", name, reader.message());
  const std::size_t width = reader.width(), height = reader.height();
  check_size(width, height, name, max_pixels);
  if (!reader.start_pixels()) fail(ErrorCode::invalid_input, "{}: broken PNG image: {}", name, reader.message());

  const std::size_t stride = width * reader.channels();
  std::vector<std::uint8_t> pixels(stride * height);
  std::vector<png_bytep> rows(height);
  for (std::size_t y = 0; y < height; ++y) rows[y] = pixels.data() + y * stride;
  if (!reader.read_pixels(rows.data()))
    fail(ErrorCode::invalid_input, "{}: broken PNG image: {}", name, reader.message());
  if (reader.channels() == 4) composite_on_white(pixels);
  return {Image(static_cast<int>(width), static_cast<int>(height), std::move(pixels)), exif_orientation(reader.exif())};
}

}  // namespace capdiff::codecs
