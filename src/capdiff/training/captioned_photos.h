#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "capdiff/formats/dataset.h"

namespace capdiff {

/// A photo of a dataset and its captions, by their places in it and among encoded captions.
struct CaptionedPhoto {
  std::int64_t photo = 0;
  std::vector<std::int64_t> captions;
};

/// Encodes a caption and returns its place, or −1 where nothing is left of it.
using AddCaption = std::function<std::int64_t(const std::string& caption)>;

/// The photos of a dataset with their encoded captions. Those that are not readable or have no caption are left out; an
/// `Error(invalid_input)` that calls the photos `what` if none remains.
std::vector<CaptionedPhoto> captioned_photos(const CaptionDataset& dataset,
                                             const std::function<bool(std::int64_t photo)>& readable,
                                             const AddCaption& add, const std::string& what);

}  // namespace capdiff
