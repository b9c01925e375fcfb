#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace capdiff {

inline constexpr std::int64_t kMaxImageId = std::numeric_limits<std::int64_t>::max();

/// A picture of a captioning data set.
struct CaptionedImage {
  std::int64_t id = 0;                ///< `cocoid` where the file has it, else `imgid`
  std::filesystem::path path;         ///< relative to the image folder: `filepath`/`filename`
  std::string split;                  ///< "train", "restval", "val" or "test"
  std::vector<std::string> captions;  ///< as written by people: `raw`, or the joined `tokens` where that is absent
};

struct CaptionDataset {
  std::string name;  ///< "coco", "flickr8k", ...; empty where the file does not say
  std::vector<CaptionedImage> images;
};

/// Reads a data set in the format of Karpathy's splits (dataset_coco.json, dataset_flickr8k.json, ...), pictures in
/// file order. `splits` selects some ({"train", "restval"} is what most papers train on); empty means all.
/// Throws `Error(invalid_input)` that names the file and the picture for missing or mistyped members, an id given
/// twice, and a path that leaves the image folder; and where a requested split holds no picture, with those that do.
CaptionDataset read_karpathy(const std::filesystem::path& path, const std::vector<std::string>& splits = {});

}  // namespace capdiff
