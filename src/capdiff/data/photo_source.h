#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "capdiff/formats/karpathy.h"
#include "capdiff/image/decode.h"

namespace capdiff {

/// Where the bytes of a photo are: a file, or a part of a tar file.
struct PhotoSource {
  PhotoSource(std::filesystem::path path) : file(std::move(path)) {}

  std::filesystem::path file;
  std::string member = {};  ///< what the photo is called in the tar file; empty: the file is the photo
  std::uint64_t offset = 0, size = 0;
};

/// Where the pictures of a data set are, in its order. `folder` holds those that are files.
std::vector<PhotoSource> photo_sources(const CaptionDataset& dataset, const std::filesystem::path& folder);

/// Reads and decodes a photo; errors name file and member. Throws as `read_image`, and `Error(invalid_input)` where the
/// tar file has become too short.
Image read_photo(const PhotoSource& photo, const DecodeOptions& options = {});

}  // namespace capdiff
