#include "capdiff/training/captioned_photos.h"

#include "capdiff/base/error.h"

namespace capdiff {

std::vector<CaptionedPhoto> captioned_photos(const CaptionDataset& dataset,
                                             const std::function<bool(std::int64_t)>& readable,
                                             EncodedCaptions& captions, const std::string& what) {
  std::vector<CaptionedPhoto> items;
  for (std::size_t i = 0; i < dataset.images.size(); ++i) {
    CaptionedPhoto item{static_cast<std::int64_t>(i), {}};
    if (!readable(item.photo)) continue;
    for (const std::string& caption : dataset.images[i].captions)
      if (const std::int64_t index = captions.add(caption); index >= 0) item.captions.push_back(index);
    if (!item.captions.empty()) items.push_back(std::move(item));
  }
  if (items.empty()) fail(ErrorCode::invalid_input, "no photo of {} has a caption", what);
  return items;
}

std::vector<CaptionedPhoto> encoded_photos(const CaptionDataset& dataset, const PhotoStore& photos,
                                           EncodedCaptions& captions, const std::string& what) {
  return captioned_photos(
      dataset, [&](std::int64_t photo) { return photos.readable(photo); }, captions, what);
}

}  // namespace capdiff
