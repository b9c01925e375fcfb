#include "capdiff/data/photo_source.h"

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/utf8.h"

namespace capdiff {
namespace {

constexpr std::uint64_t kMaxMemberBytes = std::uint64_t{1} << 30;

}  // namespace

std::vector<PhotoSource> photo_sources(const CaptionDataset& dataset, const std::filesystem::path& folder) {
  std::vector<PhotoSource> photos;
  for (const CaptionedImage& image : dataset.images) {
    PhotoSource& photo = photos.emplace_back(image.archive.empty() ? folder / image.path : image.archive);
    if (image.archive.empty()) continue;
    photo.member = image.path.string();
    photo.offset = image.offset;
    photo.size = image.size;
  }
  return photos;
}

Image read_photo(const PhotoSource& photo, const DecodeOptions& options) {
  if (photo.member.empty()) return read_image(photo.file, options);
  const std::string name = photo.file.string() + ": " + printable(photo.member);
  if (photo.size > kMaxMemberBytes)
    fail(ErrorCode::unsupported, "{}: it has {} bytes; at most {} are read", name, photo.size, kMaxMemberBytes);
  // Read rather than mapped: a tar file that is cut meanwhile is an error then, and not the end of the process.
  std::vector<std::byte> bytes;
  try {
    bytes = read_file_part(photo.file, photo.offset, static_cast<std::size_t>(photo.size));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::invalid_input) throw;
    fail(ErrorCode::invalid_input, "{}: the tar file has become shorter since its entries were read", name);
  }
  return decode(bytes, name, options);
}

}  // namespace capdiff
