#include "capdiff/data/photo_source.h"

#include "capdiff/base/error.h"
#include "capdiff/base/files.h"
#include "capdiff/base/utf8.h"

namespace capdiff {

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
  const auto archive = MappedFile::open(photo.file);
  const std::string name = photo.file.string() + ": " + printable(photo.member);
  const std::size_t size = archive->bytes().size();
  if (photo.offset > size || photo.size > size - photo.offset)
    fail(ErrorCode::invalid_input, "{}: the tar file has become shorter since its entries were read", name);
  return decode(archive->bytes().subspan(photo.offset, photo.size), name, options);
}

}  // namespace capdiff
