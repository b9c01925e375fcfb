#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "capdiff/data/photo_store.h"
#include "capdiff/formats/dataset.h"
#include "capdiff/training/caption_tokens.h"

namespace capdiff {

/// A photo of a dataset and its captions, by their places in it and among encoded captions.
struct CaptionedPhoto {
  std::int64_t photo = 0;
  std::vector<std::int64_t> captions;
};

/// The photos of a dataset with their encoded captions. Those that are not readable or have no caption are left out; an
/// `Error(invalid_input)` that calls the photos `what` if none remains.
std::vector<CaptionedPhoto> captioned_photos(const CaptionDataset& dataset,
                                             const std::function<bool(std::int64_t photo)>& readable,
                                             EncodedCaptions& captions, const std::string& what);

/// The same of photos in memory.
std::vector<CaptionedPhoto> encoded_photos(const CaptionDataset& dataset, const PhotoStore& photos,
                                           EncodedCaptions& captions, const std::string& what);

}  // namespace capdiff
