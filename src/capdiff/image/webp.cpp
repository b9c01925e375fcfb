#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "capdiff/base/error.h"
#include "capdiff/image/codecs.h"
#include "capdiff/image/row_reducer.h"

namespace capdiff::codecs {
namespace {

using Demuxer = std::unique_ptr<WebPDemuxer, decltype([](WebPDemuxer* demuxer) { WebPDemuxDelete(demuxer); })>;
using IncrementalDecoder = std::unique_ptr<WebPIDecoder, decltype([](WebPIDecoder* decoder) { WebPIDelete(decoder); })>;

/// The first picture of a file, and where it lies on the canvas.
struct Frame {
  explicit Frame(WebPDemuxer& demuxer) : there(WebPDemuxGetFrame(&demuxer, 1, &iterator) != 0) {}
  ~Frame() { WebPDemuxReleaseIterator(&iterator); }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  WebPIterator iterator{};
  bool there;
};

std::span<const std::byte> find_webp_exif(WebPDemuxer& demuxer) {
  WebPChunkIterator chunk{};
  std::span<const std::byte> exif;
  if (WebPDemuxGetChunk(&demuxer, "EXIF", 1, &chunk))
    exif = {reinterpret_cast<const std::byte*>(chunk.chunk.bytes), chunk.chunk.size};
  WebPDemuxReleaseChunkIterator(&chunk);  // the bytes are the file's own
  // Some writers keep the mark that introduces the structure in JPEG.
  constexpr std::string_view kSignature("Exif\0\0", 6);
  const std::string_view text(reinterpret_cast<const char*>(exif.data()), exif.size());
  return text.starts_with(kSignature) ? exif.subspan(kSignature.size()) : exif;
}

/// Decodes one bitstream into rows of `stride` bytes, RGBA. Returns how many rows are there.
int decode_rows(const WebPData& bitstream, std::vector<std::uint8_t>& rgba, int width, int height) {
  const auto stride = 4 * width;
  const IncrementalDecoder decoder(WebPINewRGB(MODE_RGBA, rgba.data(), rgba.size(), stride));
  if (!decoder) return 0;
  const VP8StatusCode status = WebPIUpdate(decoder.get(), bitstream.bytes, bitstream.size);
  if (status == VP8_STATUS_OK) return height;
  int rows = 0;
  if (!WebPIDecGetRGB(decoder.get(), &rows, nullptr, nullptr, nullptr)) return 0;
  return std::clamp(rows, 0, height);
}

}  // namespace

Decoded decode_webp(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options) {
  const WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
  const Demuxer demuxer(WebPDemuxPartial(&data, &state));
  if (!demuxer || state == WEBP_DEMUX_PARSE_ERROR || state == WEBP_DEMUX_PARSING_HEADER)
    fail(ErrorCode::invalid_input, "{}: broken WebP image: its header is damaged or cut off", name);
  const int width = static_cast<int>(WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH));
  const int height = static_cast<int>(WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT));
  if (width <= 0 || height <= 0) fail(ErrorCode::invalid_input, "{}: WebP image without pixels", name);
  const int reduction = checked_reduction(static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height),
                                          Holds::whole_picture, name, options.max_pixels);
  if (state != WEBP_DEMUX_DONE && !options.allow_truncated)
    fail(ErrorCode::invalid_input, "{}: broken WebP image: the file ends early", name);

  const Frame frame(*demuxer);
  const WebPIterator& part = frame.iterator;
  WebPBitstreamFeatures features{};
  if (!frame.there || WebPGetFeatures(part.fragment.bytes, part.fragment.size, &features) != VP8_STATUS_OK ||
      features.width <= 0 || features.height <= 0 || part.x_offset < 0 || part.y_offset < 0 ||
      features.width > width - part.x_offset || features.height > height - part.y_offset)
    fail(ErrorCode::invalid_input, "{}: broken WebP image: its first picture is damaged or missing", name);
  const auto stride = 4 * static_cast<std::size_t>(features.width);
  std::vector<std::uint8_t> rgba(stride * static_cast<std::size_t>(features.height));
  const int rows = decode_rows(part.fragment, rgba, features.width, features.height);
  if (rows < features.height && !options.allow_truncated)
    fail(ErrorCode::invalid_input, "{}: broken WebP image: its pixels are damaged or cut off", name);

  Image canvas(width, height);
  std::ranges::fill(canvas.rgb, std::uint8_t{255});  // a frame may leave parts of the canvas empty
  for (int y = 0; y < features.height; ++y) {
    const std::span<std::uint8_t> row =
        canvas.row(part.y_offset + y)
            .subspan(3 * static_cast<std::size_t>(part.x_offset), 3 * static_cast<std::size_t>(features.width));
    if (y < rows)
      composite_on_white(std::span(rgba).subspan(static_cast<std::size_t>(y) * stride, stride), row);
    else
      std::ranges::fill(row, kMissing);
  }
  return {reduce(std::move(canvas), reduction), exif_orientation(find_webp_exif(*demuxer)), rows == features.height};
}

}  // namespace capdiff::codecs
