#pragma once

#include <span>
#include <vector>

#include "capdiff/data/photo_source.h"
#include "capdiff/image/image.h"

namespace capdiff {

/// Photos decoded once and kept in memory as 8-bit RGB, for training: decoding would otherwise be paid every epoch.
class PhotoStore {
 public:
  /// Reads `sources` with `threads` threads. A photo whose longer side exceeds `max_side` is shrunk to it (0 keeps all
  /// pixels). Unreadable photos are named in a warning and stay empty; an `Error(invalid_input)` if none can be read.
  PhotoStore(std::span<const PhotoSource> sources, int max_side, int threads);

  std::int64_t size() const { return static_cast<std::int64_t>(photos_.size()); }
  /// Whether the file could be read.
  bool readable(std::int64_t index) const { return photos_[static_cast<std::size_t>(index)].width > 0; }
  const Image& photo(std::int64_t index) const { return photos_[static_cast<std::size_t>(index)]; }

 private:
  std::vector<Image> photos_;
};

}  // namespace capdiff
