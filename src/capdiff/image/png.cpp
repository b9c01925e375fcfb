#include <png.h>

#include <csetjmp>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/image/codecs.h"
#include "capdiff/image/row_reducer.h"

namespace capdiff::codecs {
namespace {

/// libpng behind an interface that cannot leak. libpng reports errors by longjmp, which must not skip destructors: the
/// methods that call it keep no objects on their stack and return false, and callers read `message()`.
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
  bool interlaced() const { return png_get_interlace_type(png_, info_) != PNG_INTERLACE_NONE; }
  /// 3 for RGB, 4 for RGBA; after `start_pixels`.
  std::size_t channels() const { return png_get_channels(png_, info_); }

  /// Everything in front of the pixels. `tolerant`: pixels are then read in small pieces, each of which must be there
  /// as a whole.
  bool read_header(bool tolerant) {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_set_read_fn(png_, this, on_read);
    if (tolerant) png_set_compression_buffer_size(png_, 64);
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

  /// All rows.
  bool read_rows(png_bytep* rows) {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_read_image(png_, rows);
    return true;
  }

  /// The next row, of a file that is not interlaced.
  bool read_row(png_bytep row) {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_read_row(png_, row, nullptr);
    return true;
  }

  /// Everything behind the pixels.
  bool read_end() {
    if (setjmp(png_jmpbuf(png_))) return false;
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

}  // namespace

Decoded decode_png(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options) {
  PngReader reader(bytes);
  const auto fail_broken = [&] { fail(ErrorCode::invalid_input, "{}: broken PNG image: {}", name, reader.message()); };
  if (!reader.valid()) fail(ErrorCode::internal, "{}: the PNG decoder could not be created", name);
  if (!reader.read_header(options.allow_truncated)) fail_broken();
  const std::size_t width = reader.width(), height = reader.height();
  const int reduction = checked_reduction(width, height, reader.interlaced() ? Holds::whole_picture : Holds::few_rows,
                                          name, options.max_pixels);
  if (!reader.start_pixels()) fail_broken();

  // Only interlaced files need all rows at once.
  const std::size_t stride = width * reader.channels(), held = reader.interlaced() ? height : 1;
  std::vector<std::uint8_t> pixels(stride * held, kMissing);
  bool complete = true;
  if (reader.interlaced()) {
    std::vector<png_bytep> rows(height);
    for (std::size_t y = 0; y < height; ++y) rows[y] = pixels.data() + y * stride;
    complete = reader.read_rows(rows.data());
  }
  RowReducer reducer(static_cast<int>(width), static_cast<int>(height), reduction);
  for (std::size_t y = 0; y < height; ++y) {
    const std::span row = std::span(pixels).subspan(reader.interlaced() ? y * stride : 0, stride);
    if (!reader.interlaced() && !(complete = reader.read_row(row.data()))) break;
    if (reader.channels() == 4) composite_on_white(row, row);
    reducer.add(row.first(3 * width));
  }
  if (complete) complete = reader.read_end();
  if (!complete && !options.allow_truncated) fail_broken();
  return {reducer.finish(kMissing), exif_orientation(reader.exif()), complete};
}

}  // namespace capdiff::codecs
